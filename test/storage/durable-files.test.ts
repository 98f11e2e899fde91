import { describe, expect, test } from "bun:test";
import { readFile, readdir, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { makeDirectory, publishFile, writeFileDurably } from "../../src/storage/durable-files.ts";
import { temporaryDirectory } from "../support/temporary-directory.ts";

describe("makeDirectory", () => {
  test("creates all that is missing, and leaves what is there", async () => {
    await using directory = await temporaryDirectory();
    const path = join(directory.path, "a", "b", "c");
    await makeDirectory(path);
    await writeFile(join(path, "file"), "kept");
    await makeDirectory(path);
    expect((await stat(path)).isDirectory()).toBe(true);
    expect(await readFile(join(path, "file"), "utf8")).toBe("kept");
  });
});

describe("publishFile", () => {
  test("replaces the old file by the new one in one step", async () => {
    await using directory = await temporaryDirectory();
    const final = join(directory.path, "media.mp4");
    const temporary = join(directory.path, "media.mp4.tmp");
    await writeFile(final, "old");
    await writeFile(temporary, "new");
    await publishFile(temporary, final);
    expect(await readFile(final, "utf8")).toBe("new");
    expect(await readdir(directory.path)).toEqual(["media.mp4"]);
  });
});

describe("writeFileDurably", () => {
  test("writes text and leaves no temporary file", async () => {
    await using directory = await temporaryDirectory();
    await writeFileDurably(join(directory.path, "manifest.json"), "{}");
    expect(await readdir(directory.path)).toEqual(["manifest.json"]);
  });

  test("leaves nothing behind when it fails", async () => {
    await using directory = await temporaryDirectory();
    await makeDirectory(join(directory.path, "manifest.json", "a directory in its place"));
    await expect(writeFileDurably(join(directory.path, "manifest.json"), "{}")).rejects.toThrow();
    expect(await readdir(directory.path)).toEqual(["manifest.json"]);
  });
});

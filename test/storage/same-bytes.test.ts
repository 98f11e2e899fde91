import { expect, test } from "bun:test";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { haveSameBytes } from "../../src/storage/same-bytes.ts";
import { temporaryDirectory } from "../support/temporary-directory.ts";

/** More than is read at once, and no whole number of that. */
const BYTES = 3 * 1024 * 1024 + 17;

test("files have the same bytes when no byte and no length differs", async () => {
  await using directory = await temporaryDirectory();
  const one = join(directory.path, "one");
  const other = join(directory.path, "other");
  const bytes = new Uint8Array(BYTES).map((_, i) => i % 251);
  await writeFile(one, bytes);
  await writeFile(other, bytes);
  expect(await haveSameBytes(one, other)).toBe(true);
  for (const at of [0, BYTES / 2, BYTES - 1].map(Math.floor)) {
    const changed = bytes.slice();
    changed[at] = 255;
    await writeFile(other, changed);
    expect(await haveSameBytes(one, other)).toBe(false);
  }
  await writeFile(other, bytes.subarray(1));
  expect(await haveSameBytes(one, other)).toBe(false);
  expect(await haveSameBytes(one, join(directory.path, "neither"))).toBe(false);
});

test("empty files have the same bytes", async () => {
  await using directory = await temporaryDirectory();
  const paths = ["one", "other"].map((name) => join(directory.path, name));
  for (const path of paths) await writeFile(path, "");
  expect(await haveSameBytes(paths[0] ?? "", paths[1] ?? "")).toBe(true);
});

import { expect, test } from "bun:test";
import { mkdir, readFile, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { ExportSourceReplacedError } from "../../src/exports/export-errors.ts";
import type { ExportTrack } from "../../src/exports/export-maker.ts";
import { holdSources } from "../../src/exports/export-sources.ts";
import { isPermanentFailure } from "../../src/jobs/failure-reason.ts";
import { temporaryDirectory } from "../support/temporary-directory.ts";
import { exportTrack } from "./composite/export-tracks.ts";

/** A track whose published file is `text`. */
async function published(directory: string, text: string): Promise<ExportTrack> {
  const path = join(directory, "media.mp4");
  await writeFile(path, text);
  const track = exportTrack({ participant: "Ann", offsetMs: 0, durationMs: 1_000, path });
  return { ...track, media: { ...track.media, bytes: text.length } };
}

async function replace(path: string, text: string): Promise<void> {
  await writeFile(`${path}.new`, text);
  await rename(`${path}.new`, path);
}

test("an export goes on with the MP4 that it began with when a better one is published", async () => {
  await using directory = await temporaryDirectory();
  const track = await published(directory.path, "the first");
  const workDirectory = join(directory.path, "work");
  await mkdir(workDirectory);
  const [held] = await holdSources([track], workDirectory);
  await replace(track.path, "a better one");
  expect(await readFile(held?.path ?? "", "utf8")).toBe("the first");
  expect(await readFile(track.path, "utf8")).toBe("a better one");
});

test("an export begins anew when a better MP4 came before its times were known", async () => {
  await using directory = await temporaryDirectory();
  const track = await published(directory.path, "the first");
  const workDirectory = join(directory.path, "work");
  await mkdir(workDirectory);
  await replace(track.path, "a better one");
  const error = await holdSources([track], workDirectory).catch((reason: unknown) => reason);
  expect(error).toBeInstanceOf(ExportSourceReplacedError);
  expect(isPermanentFailure(error)).toBe(false);
});

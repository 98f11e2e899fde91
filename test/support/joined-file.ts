import { join } from "node:path";
import { missingParameterSets } from "../../src/finalize/h264-parameter-sets.ts";
import { readSampleTables } from "../../src/finalize/mp4-sample-tables.ts";
import { muxTimeline } from "../../src/finalize/timeline-mux.ts";
import { type TimelineTracks, timelineTracks } from "../../src/finalize/timeline-tracks.ts";

/** An MP4 of one recorder's run, and where it begins in the one that is made. */
export interface PlacedFile {
  readonly path: string;
  readonly atMs: number;
}

/** An MP4 that the finalizer would have made of several. */
export interface JoinedFile {
  readonly path: string;
  readonly timeline: TimelineTracks;
}

/** Joins files as the finalizer joins the segments of a track. */
export async function joinFiles(
  directory: string,
  files: readonly PlacedFile[],
  signal = new AbortController().signal,
): Promise<JoinedFile> {
  const parts = await Promise.all(
    files.map(async ({ path, atMs }, i) => {
      const tables = await readSampleTables(path);
      if (tables === undefined) throw new Error(`${path} has no index`);
      const { video, media } = tables;
      const isH264 = video?.entries[0]?.toString("latin1", 4, 8) === "avc1";
      const parameterSets = isH264 ? await missingParameterSets(i, path, video) : new Map();
      return { path, media, tables, parameterSets, toTrackMs: (mp4Ms: number) => mp4Ms + atMs };
    }),
  );
  const timeline = await timelineTracks(parts);
  const outputPath = join(directory, `${crypto.randomUUID()}.mp4`);
  await muxTimeline({ timeline, parts, outputPath, onProgress: () => undefined, signal });
  return { path: outputPath, timeline };
}

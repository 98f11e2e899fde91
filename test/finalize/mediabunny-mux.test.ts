import { expect, test } from "bun:test";
import { join } from "node:path";
import { writeFile } from "node:fs/promises";
import { MediaUnreadableError } from "../../src/finalize/finalize-errors.ts";
import { muxByMediabunny } from "../../src/finalize/mediabunny-mux.ts";
import { openFilesUnder } from "../support/open-files.ts";
import { recordedSegment } from "../support/recorded-media.ts";
import { temporaryDirectory } from "../support/temporary-directory.ts";
import { until } from "../support/until.ts";

test("whatever becomes of the muxing, no file stays open", async () => {
  await using directory = await temporaryDirectory();
  const { chunks } = await recordedSegment("vp9-opus");
  const whole = Buffer.concat(chunks.map(({ payload }) => payload));
  for (const [name, bytes, packetsMax, succeeds] of [
    ["whole", whole, 1_000, true],
    ["no media", Buffer.alloc(100_000, "no media"), 1_000, false],
    ["more packets than there is room for", whole, 3, false],
  ] as const) {
    const path = join(directory.path, `${name}.source`);
    await writeFile(path, bytes);
    const muxing = muxByMediabunny({
      inputPath: path,
      offsetMs: 0,
      outputPath: join(directory.path, `${name}.mp4`),
      videoPackets: packetsMax,
      audioPackets: packetsMax,
      onMediaMs: () => undefined,
      signal: new AbortController().signal,
    });
    const error = await muxing.then(
      () => undefined,
      (reason: unknown) => reason,
    );
    if (succeeds) expect(error).toBeUndefined();
    else expect(error).toBeInstanceOf(MediaUnreadableError);
    // mediabunny closes what it has read from a moment after it was told to.
    await until(async () => (await openFilesUnder(directory.path)).length === 0 || undefined, {
      what: "no file is open",
      timeoutMs: 20_000,
    });
  }
});

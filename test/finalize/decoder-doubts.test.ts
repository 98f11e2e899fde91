import { expect, test } from "bun:test";
import { hasDoubtfulParameters } from "../../src/finalize/decoder-doubts.ts";
import { MatroskaFilter } from "../../src/finalize/matroska-filter.ts";
import { streamsOf } from "../../src/finalize/matroska-source.ts";
import { probeFile } from "../../src/finalize/mp4-source.ts";
import { type SourceStream, type StreamCodec } from "../../src/finalize/source-stream.ts";
import { RECORDED_NAMES, joinChunks, recordedSegment } from "../support/recorded-media.ts";
import { temporaryDirectory } from "../support/temporary-directory.ts";

function stream(codec: StreamCodec, configuration: string | undefined): SourceStream {
  const kind = codec === "aac" || codec === "opus" ? "audio" : "video";
  const none = { codecName: "", parameters: "", width: null, height: null, preSkipMs: 0 };
  return { kind, codec, ...none, ...(configuration === undefined ? {} : { configuration }) };
}

test("no recording of a browser gives a doubt", async () => {
  await using directory = await temporaryDirectory();
  for (const name of RECORDED_NAMES) {
    const { chunks, mimeType } = await recordedSegment(name);
    const bytes = joinChunks(chunks);
    const path = `${directory.path}/${name}`;
    await Bun.write(path, bytes);
    const filter = new MatroskaFilter();
    if (!mimeType.includes("mp4")) filter.push(bytes);
    const { video, audio } = mimeType.includes("mp4")
      ? (await probeFile(path, new AbortController().signal)).streams
      : streamsOf(filter);
    const found = [video, audio].flatMap((own) => own ?? []);
    expect(found.length).toBeGreaterThan(0);
    expect(found.filter(hasDoubtfulParameters)).toEqual([]);
  }
});

test.each([
  // One sequence parameter set whose profile is not that of the record, and none at all.
  ["h264", "01640028ffe10004674200280100026801"],
  ["h264", "a5a5a5a5a5a5a5a5"],
  ["hevc", "a5".repeat(40)],
  // Object type 95, and a reserved index of the sample rate.
  ["aac", "ffff"],
  ["aac", "1690"],
  ["opus", "a5".repeat(19)],
  ["opus", ""],
] as const)("parameters of %s like %s give a doubt", (codec, configuration) => {
  expect(hasDoubtfulParameters(stream(codec, configuration))).toBeTrue();
});

test.each([
  ["h264", "01640028ffe10004676400280100026801"],
  ["aac", "1190"],
  ["vp9", ""],
] as const)("parameters of %s like %s give none", (codec, configuration) => {
  expect(hasDoubtfulParameters(stream(codec, configuration))).toBeFalse();
});

test("Annex B has its parameters in the stream, and those that are not known cannot be doubted", () => {
  expect(hasDoubtfulParameters({ ...stream("h264", ""), isAnnexB: true })).toBeFalse();
  expect(hasDoubtfulParameters(stream("aac", undefined))).toBeFalse();
});

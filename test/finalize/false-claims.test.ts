import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { decodeFrameNumbers } from "../support/media-judge.ts";
import { type RecordedName, joinChunks, recordedSegment } from "../support/recorded-media.ts";
import { FinalizerBed, testFfmpeg, trackKey } from "./finalizer-bed.ts";

const CLAIM = 0xffffffff;
/** Version 1, no flags. */
const RUN_WITHOUT_FIELDS = 0x01000000;

/** The whole of a recording, to be changed. */
async function bytesOf(name: RecordedName): Promise<Buffer<ArrayBuffer>> {
  return Buffer.from(joinChunks((await recordedSegment(name)).chunks));
}

/** Where the bytes in hexadecimal stand; throws when they do not. */
function placeOf(bytes: Buffer, hex: string): number {
  const at = bytes.indexOf(Buffer.from(hex, "hex"));
  if (at < 0) throw new RangeError(`There is no ${hex}.`);
  return at;
}

describe("claims that are not true", () => {
  let bed: FinalizerBed;
  beforeEach(async () => {
    bed = await FinalizerBed.open(await testFfmpeg());
  });
  afterEach(async () => {
    await bed[Symbol.asyncDispose]();
  });

  test.each([
    // The number of a run's samples stands behind its version and flags; without flags nothing in
    // the file has to be there for each of them.
    ["run of a fragment", "trun", 4, "samples in a fragment"],
    // Behind the size that all samples share, and behind the number of runs.
    ["table of sizes", "stsz", 8, "samples"],
    ["table of times", "stts", 8, "samples"],
  ] as const)(
    "a %s of billions of samples is refused before it is read",
    async (_, box, at, words) => {
      const bytes = await bytesOf("mp4-vp9-opus");
      const from = placeOf(bytes, Buffer.from(box).toString("hex")) + 4;
      if (box === "stts") {
        // An empty table of a fragmented file: `stsc` follows, which makes room for a run.
        const size = bytes.readUInt32BE(from - 8) + bytes.readUInt32BE(from + 8);
        bytes.writeUInt32BE(size, from - 8);
      }
      if (box === "trun") bytes.writeUInt32BE(RUN_WITHOUT_FIELDS, from);
      bytes.writeUInt32BE(CLAIM, from + at);
      const record = await bed.finalize({ chunks: [bytes], mimeType: "video/mp4" });
      expect(record.state).toBe("failed");
      expect(record.reason).toContain(words);
    },
  );

  test("a picture is not encoded in a size that only the container claims", async () => {
    const bytes = await bytesOf("vp8-opus");
    // PixelWidth and PixelHeight (RFC 9559, 5.1.4.1.28): 640 and 360.
    bytes.writeUInt16BE(16_000, placeOf(bytes, "b0820280") + 2);
    bytes.writeUInt16BE(16_000, placeOf(bytes, "ba820168") + 2);
    const { recordingId, state } = await bed.finalize({ chunks: [bytes] });
    expect(state).toBe("ready");
    const { result } = await bed.track(recordingId);
    expect(result).toMatchObject({ verdict: "complete", media: { width: 640, height: 360 } });
    const frames = await decodeFrameNumbers(bed.layout.mediaPath(trackKey(recordingId)));
    expect(frames).toHaveLength(result?.media?.videoPackets ?? 0);
  });
});

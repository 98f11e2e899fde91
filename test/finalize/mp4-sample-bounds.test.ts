import { expect, test } from "bun:test";
import { join } from "node:path";
import { MediaUnreadableError } from "../../src/finalize/finalize-errors.ts";
import { refuseImpossibleSampleCounts } from "../../src/finalize/mp4-sample-bounds.ts";
import { temporaryDirectory } from "../support/temporary-directory.ts";

function box(type: string, ...contents: readonly Uint8Array[]): Buffer {
  const content = Buffer.concat(contents);
  const header = Buffer.alloc(8);
  header.writeUInt32BE(8 + content.length);
  header.write(type, 4);
  return Buffer.concat([header, content]);
}

/** Sizes of so many samples, all of one byte (ISO/IEC 14496-12, 8.7.3.2). */
function sampleTable(samples: number): Buffer {
  const sizes = Buffer.alloc(12);
  sizes.writeUInt32BE(1, 4);
  sizes.writeUInt32BE(samples, 8);
  return box("stbl", box("stsz", sizes));
}

/** An index whose tracks have these boxes, and behind it more bytes than it claims samples. */
function file(...tracks: readonly Buffer[]): Buffer {
  return Buffer.concat([box("moov", ...tracks), box("mdat", Buffer.alloc(100_000))]);
}

const FEW = 1_000;
const BILLIONS = 0xffffffff;

test.each<[string, Buffer]>([
  [
    "sample table",
    file(box("trak", box("mdia", box("minf", sampleTable(FEW), sampleTable(BILLIONS))))),
  ],
  [
    "media",
    file(
      box(
        "trak",
        box("mdia", box("minf", sampleTable(FEW))),
        box("mdia", box("minf", sampleTable(BILLIONS))),
      ),
    ),
  ],
])("a second %s that claims billions of samples is seen", async (_, bytes) => {
  await using directory = await temporaryDirectory();
  const path = join(directory.path, "claims.mp4");
  await Bun.write(path, bytes);
  const { signal } = new AbortController();
  await expect(refuseImpossibleSampleCounts(path, signal)).rejects.toBeInstanceOf(
    MediaUnreadableError,
  );
});

test("as many samples as there are bytes for can be", async () => {
  await using directory = await temporaryDirectory();
  const path = join(directory.path, "fair.mp4");
  await Bun.write(path, file(box("trak", box("mdia", box("minf", sampleTable(FEW))))));
  await refuseImpossibleSampleCounts(path, new AbortController().signal);
});

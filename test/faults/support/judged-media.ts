import { expect } from "bun:test";
import { join } from "node:path";
import { expectFaithfulFiles } from "../../support/faithful-mp4.ts";
import { type RecordingsApi, trackOf } from "../../support/recordings-api.ts";
import type { SegmentUpload } from "./persistent-uploader.ts";

/**
 * Judges the tracks of finalized recordings by their frames. An MP4 that is, byte for byte, one that
 * was judged before against the same source is not decoded a second time.
 */
export class JudgedMedia {
  readonly #directory: string;
  readonly #judged = new Set<string>();

  /** @param directory for downloads */
  constructor(directory: string) {
    this.#directory = directory;
  }

  /**
   * Expects of the track of an uploaded segment that it is complete, that its source is the bytes
   * that were uploaded, and that its MP4 has every frame of them in its place.
   */
  async expectWhole(api: RecordingsApi, upload: SegmentUpload): Promise<void> {
    const track = trackOf(await api.show(upload.recordingId), upload);
    expect(track).toMatchObject({ verdict: "complete", reason: null });
    if (track.media === null) throw new TypeError("A complete track has no MP4");
    const sourcePath = join(this.#directory, "track.source");
    const mp4Path = join(this.#directory, "track.mp4");
    await api.download(api.trackUrl(upload, "source"), sourcePath);
    await api.download(api.trackUrl(upload, "media.mp4"), mp4Path);
    const sourceSha256 = await sha256HexOf(sourcePath);
    const uploadedSha256 = new Bun.CryptoHasher("sha256");
    for (const chunk of upload.chunks) uploadedSha256.update(chunk);
    expect(sourceSha256).toBe(uploadedSha256.digest("hex"));

    const pair = `${sourceSha256} ${await sha256HexOf(mp4Path)}`;
    if (this.#judged.has(pair)) return;
    await expectFaithfulFiles({ sourcePath, mp4Path, media: track.media });
    this.#judged.add(pair);
  }
}

async function sha256HexOf(path: string): Promise<string> {
  return new Bun.CryptoHasher("sha256").update(await Bun.file(path).bytes()).digest("hex");
}

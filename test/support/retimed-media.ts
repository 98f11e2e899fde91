import {
  ALL_FORMATS,
  BlobSource,
  BufferTarget,
  EncodedAudioPacketSource,
  EncodedPacketSink,
  EncodedVideoPacketSource,
  Input,
  MkvOutputFormat,
  Mp4OutputFormat,
  Output,
  type OutputFormat,
} from "mediabunny";

/** Containers that a copy can have. */
export type RetimedContainer = "matroska" | "mp4" | "fragmented mp4";

/** When a packet of a stream is to be presented, in milliseconds. */
export type Retiming = (kind: "video" | "audio", atMs: number) => number;

function formatOf(container: RetimedContainer): OutputFormat {
  switch (container) {
    case "matroska":
      return new MkvOutputFormat();
    case "mp4":
      return new Mp4OutputFormat({ fastStart: "in-memory" });
    case "fragmented mp4":
      return new Mp4OutputFormat({ fastStart: "fragmented" });
  }
}

/** A copy of a file's picture and sound, packet by packet, whose times are others. */
export async function retimedMedia(
  path: string,
  container: RetimedContainer,
  retime: Retiming,
): Promise<Uint8Array<ArrayBuffer>> {
  using input = new Input({ formats: ALL_FORMATS, source: new BlobSource(Bun.file(path)) });
  const target = new BufferTarget();
  const output = new Output({ format: formatOf(container), target });
  const [video, audio] = [await input.getPrimaryVideoTrack(), await input.getPrimaryAudioTrack()];
  const copies: (() => Promise<void>)[] = [];
  if (video !== null) {
    const decoderConfig = (await video.getDecoderConfig()) ?? undefined;
    const source = new EncodedVideoPacketSource(video.codec ?? "vp9");
    output.addVideoTrack(source);
    copies.push(async () => {
      for await (const packet of new EncodedPacketSink(video).packets()) {
        const timestamp = retime("video", packet.timestamp * 1_000) / 1_000;
        await source.add(packet.clone({ timestamp }), decoderConfig && { decoderConfig });
      }
      source.close();
    });
  }
  if (audio !== null) {
    const decoderConfig = (await audio.getDecoderConfig()) ?? undefined;
    const source = new EncodedAudioPacketSource(audio.codec ?? "opus");
    output.addAudioTrack(source);
    copies.push(async () => {
      for await (const packet of new EncodedPacketSink(audio).packets()) {
        const timestamp = retime("audio", packet.timestamp * 1_000) / 1_000;
        await source.add(packet.clone({ timestamp }), decoderConfig && { decoderConfig });
      }
      source.close();
    });
  }
  await output.start();
  await Promise.all(copies.map((copy) => copy()));
  await output.finalize();
  if (target.buffer === null) throw new Error("Nothing was written");
  return new Uint8Array(target.buffer);
}

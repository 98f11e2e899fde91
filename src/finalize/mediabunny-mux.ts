import {
  type EncodedPacket,
  EncodedPacketSink,
  FilePathSource,
  Input,
  type InputAudioTrack,
  type InputVideoTrack,
  MATROSKA,
  MP4,
  WEBM,
} from "mediabunny";
import { audioLane, videoLane, writeByMediabunny } from "./mediabunny-output.ts";

/** What is to be written. */
export interface MuxRequest {
  readonly inputPath: string;
  /** Added to all its times. */
  readonly offsetMs: number;
  readonly outputPath: string;
  /** Packets of each stream; room for the index is made for them. */
  readonly videoPackets: number;
  readonly audioPackets: number;
  /** Told the time of the packet that was written. */
  readonly onMediaMs: (mediaMs: number) => void;
  readonly signal: AbortSignal;
}

/**
 * Copies the packets of a file into an MP4 without ffmpeg: AV1 where the ffmpeg build is too old for
 * it. About a third as fast.
 *
 * @throws MediaUnreadableError, file system errors, the signal's reason
 */
export async function muxByMediabunny(request: MuxRequest): Promise<void> {
  const { inputPath, offsetMs, videoPackets, audioPackets, ...rest } = request;
  using input = new Input({
    source: new FilePathSource(inputPath),
    formats: [MP4, WEBM, MATROSKA],
  });
  await writeByMediabunny({
    ...rest,
    unreadable: "The chunks form no readable file.",
    addLanes: async (output) => {
      const video = await input.getPrimaryVideoTrack();
      const audio = await input.getPrimaryAudioTrack();
      return [
        ...(video ? [await videoLane(output, video, moved(video, offsetMs), videoPackets)] : []),
        ...(audio ? [await audioLane(output, audio, moved(audio, offsetMs), audioPackets)] : []),
      ];
    },
  });
}

async function* moved(
  track: InputVideoTrack | InputAudioTrack,
  offsetMs: number,
): AsyncGenerator<EncodedPacket, void, undefined> {
  for await (const packet of new EncodedPacketSink(track).packets()) {
    yield packet.clone({ timestamp: packet.timestamp + offsetMs / 1_000 });
  }
}

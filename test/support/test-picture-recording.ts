import { judgeFfmpeg } from "./judge-ffmpeg.ts";
import type { RecordingsApi, TrackName } from "./recordings-api.ts";

const CHUNK_BYTES = 512 * 1024;
const MIME_TYPE = "video/x-matroska;codecs=avc1,opus";

/** Records, stops and finalizes so much of a moving picture with a tone. */
export async function testPictureRecording(
  api: RecordingsApi,
  seconds: number,
): Promise<TrackName> {
  const { path } = await judgeFfmpeg();
  const child = Bun.spawn(
    [
      path,
      ..."-v error -f lavfi -i".split(" "),
      `testsrc2=s=640x360:r=30:d=${seconds}`,
      ..."-f lavfi -i".split(" "),
      `sine=frequency=440:sample_rate=48000:duration=${seconds}`,
      ..."-c:v libx264 -preset ultrafast -pix_fmt yuv420p -g 60 -bf 0".split(" "),
      ..."-c:a libopus -f matroska pipe:1".split(" "),
    ],
    { stdin: "ignore", stdout: "pipe", stderr: "inherit" },
  );
  const bytes = new Uint8Array(await new Response(child.stdout).arrayBuffer());
  if ((await child.exited) !== 0) throw new Error("ffmpeg made no recording");
  const track = { recordingId: await api.start("Long"), participantId: "ann", trackId: "camera" };
  const segmentId = crypto.randomUUID();
  let sequence = 0;
  for (let at = 0; at < bytes.length; at += CHUNK_BYTES, sequence += 1) {
    const chunks = [bytes.slice(at, at + CHUNK_BYTES)];
    await api.upload({ ...track, segmentId, sequence, mimeType: MIME_TYPE, chunks });
  }
  await api.endSegment(track.recordingId, segmentId, sequence);
  await api.stop(track.recordingId);
  await api.ready(track.recordingId);
  return track;
}

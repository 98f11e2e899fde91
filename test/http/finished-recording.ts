import type { Recording } from "../../src/contract/recordings.ts";
import type { RecordingsApi } from "../support/recordings-api.ts";
import { type RecordedName, recordedSegment } from "../support/recorded-media.ts";

/** Names the tracks of a recording that a test wants. */
export interface WantedTrack {
  readonly participantId: string;
  readonly trackId: string;
}

/** Records, stops and finalizes a few seconds of media, H.264 and Opus by default, on each of the tracks. */
export async function finishedRecording(
  api: RecordingsApi,
  name: string,
  tracks: readonly WantedTrack[],
  media: RecordedName = "h264-opus",
): Promise<Recording> {
  const { mimeType, chunks } = await recordedSegment(media);
  const recordingId = await api.start(name);
  const payloads = chunks.map(({ payload }) => payload);
  // One after the other: a recording lists its tracks in the order in which they were opened.
  for (const track of tracks) {
    const segmentId = crypto.randomUUID();
    await api.upload({ ...track, recordingId, segmentId, sequence: 0, mimeType, chunks: payloads });
    await api.endSegment(recordingId, segmentId, chunks.length);
  }
  await api.stop(recordingId);
  return api.ready(recordingId);
}

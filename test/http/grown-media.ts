import { truncate } from "node:fs/promises";
import { participantIdSchema, recordingIdSchema, trackIdSchema } from "../../src/contract/ids.ts";
import { RecordingsLayout } from "../../src/storage/layout.ts";
import type { TrackName } from "../support/recordings-api.ts";

/**
 * Makes a published MP4 larger, with zeros behind its bytes: more than fits into the buffers of a
 * connection. Gives its path.
 */
export async function growMedia(
  recordingsDirectory: string,
  { recordingId, participantId, trackId }: TrackName,
  byteLength: number,
): Promise<string> {
  const path = new RecordingsLayout(recordingsDirectory).mediaPath({
    recordingId: recordingIdSchema.parse(recordingId),
    participantId: participantIdSchema.parse(participantId),
    trackId: trackIdSchema.parse(trackId),
  });
  await truncate(path, byteLength);
  return path;
}

import { MediaNotReadyError, TrackNotFoundError } from "../recording/errors.ts";
import type {
  Catalog,
  MediaRecord,
  RecordingRecord,
  TrackKey,
  TrackRecord,
} from "../recording/ports.ts";
import { findRecording } from "./recording-routes.ts";
import { trackState } from "./recording-view.ts";

/** A track whose MP4 is published. */
export interface PublishedTrack {
  readonly record: RecordingRecord;
  readonly media: MediaRecord;
}

/**
 * Finds a track's newest MP4.
 *
 * @throws RecordingNotFoundError, TrackNotFoundError, MediaNotReadyError
 */
export async function findPublishedTrack(catalog: Catalog, key: TrackKey): Promise<PublishedTrack> {
  const record = await findRecording(catalog, key.recordingId);
  const track = await catalog.track(key);
  if (track === undefined) throw new TrackNotFoundError(key.participantId, key.trackId);
  const media = track.result?.media ?? null;
  if (media === null) throw new MediaNotReadyError(whyNotReady(record, track));
  return { record, media };
}

/** A sentence for people about a track that has no MP4. */
export function whyNotReady(record: RecordingRecord, track: TrackRecord): string {
  const { state, reason } = trackState(record, track);
  const name = `Track ${JSON.stringify(track.trackId)} of ${JSON.stringify(track.participantId)}`;
  switch (state) {
    case "recording":
      return `${name} is being recorded; its MP4 is made when the recording is stopped.`;
    case "finalizing": {
      const percent = Math.floor((track.job?.progress ?? 0) * 100);
      return `${name} is being finalized (${percent} %).`;
    }
    case "failed":
    case "ready":
      return `${name} has no MP4: ${reason ?? "nothing of it can be played"}`;
  }
}

import { RecorderError } from "../recorder-error.ts";
import type { SegmentAddress } from "../spool/chunk-spool.ts";

/** A track on its server. */
export interface TrackAddress extends Omit<SegmentAddress, "segmentId"> {
  readonly serverUrl: string;
}

/**
 * What a page records at the moment, paused or not. Two recorders of one track at once, as after a
 * component that was mounted twice, would put the same time into its media twice.
 */
export class RunningTracks {
  readonly #beganAtMs = new Map<string, number>();

  /** Throws `RecorderError` (`already-recording`) while this track is being recorded. */
  expectFree(address: TrackAddress): void {
    const beganAtMs = this.#beganAtMs.get(keyOf(address));
    if (beganAtMs === undefined) return;
    const { trackId, participantId } = address;
    const message = `Another recorder of this page records the track "${trackId}" of "${participantId}" since ${new Date(beganAtMs).toISOString()}: stop it first, or give this one another trackId.`;
    throw new RecorderError("already-recording", message);
  }

  /** It is being recorded from now on, until the returned function is called. */
  add(address: TrackAddress, beganAtMs: number): () => void {
    const key = keyOf(address);
    this.#beganAtMs.set(key, beganAtMs);
    return () => {
      this.#beganAtMs.delete(key);
    };
  }
}

function keyOf({ serverUrl, recordingId, participantId, trackId }: TrackAddress): string {
  return JSON.stringify([serverUrl, recordingId, participantId, trackId]);
}

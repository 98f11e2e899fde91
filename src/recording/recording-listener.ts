import type { RecordingId } from "../contract/ids.ts";

/** Who must know of what happens to recordings: the finalizer, and later the event stream. */
export interface RecordingListener {
  /**
   * A recording was stopped, or something of a stopped one changed (a late chunk, a segment's end).
   * Called after the change is durable; must not throw.
   */
  recordingChanged(recordingId: RecordingId): void;
  /**
   * A recording was marked as deleted. Its files are removed when this resolves, so whoever works
   * on them ends that first.
   */
  recordingDeleted(recordingId: RecordingId): Promise<void>;
}

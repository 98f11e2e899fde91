/** What a person should know of how a segment became its MP4. */
export interface SegmentNote {
  /** In sentences: what happened, what was kept and, where there is something, what to do. */
  readonly text: string;
  /** Whether something that was recorded is missing or cannot be relied on: the track is `degraded`. */
  readonly isLoss: boolean;
}

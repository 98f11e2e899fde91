import type { RecordingId } from "../contract/ids.ts";
import { NothingToRetryError, RecordingNotFoundError } from "../recording/errors.ts";
import type { RecordingRecord, TrackKey, TrackRecord } from "../recording/ports.ts";
import type { RecordingListener } from "../recording/recording-listener.ts";
import { type SegmentView, isOfTrack, summaryOf } from "../recording/segment-view.ts";
import { writeFileDurably } from "../storage/durable-files.ts";
import { JobRunner, type JobRunnerParts } from "./job-runner.ts";
import { buildManifest } from "./manifest.ts";
import { recoverFinalizations } from "./crash-recovery.ts";
import type { TrackExtras } from "./track-extras.ts";
import { type TrackDecision, decideTrack, fingerprintOf } from "./readiness.ts";

/** What the finalizer is made of. */
export interface FinalizerParts extends JobRunnerParts {
  /** Receives new MP4s once their recording has all; left out where nobody needs posters and waveforms. */
  readonly extras?: Pick<TrackExtras, "request" | "forget" | "stop">;
}

/** What is kept in memory of a stopped recording that is being looked after. */
interface Watch {
  /** Looks at the recording one after the other, and anew when something changed meanwhile. */
  considering: Promise<void> | undefined;
  isStale: boolean;
  /** Tracks whose jobs ended since the last look. */
  ended: TrackKey[];
  /** Tracks with a new MP4, whose extras are made when the others have theirs. */
  unillustrated: TrackKey[];
  /** Nothing more is to come but by a change, of which the catalogue tells all that must be known. */
  isOver: boolean;
  cancelTimer: () => void;
  /** Per track: when chunks were first seen that its last run did not have. */
  readonly lateSinceMs: Map<string, number>;
  /** Per track: what its job was asked for with, which a failed run leaves no other trace of. */
  readonly askedWith: Map<string, string>;
  /** The manifest is written by one at a time. */
  manifest: Promise<void>;
}

/** Of no segments: what a track has now is something else. */
const NOTHING_TAKEN = fingerprintOf([]);

/**
 * Makes the MP4s of stopped recordings: decides when a track is ready for it, has its job run, writes
 * the manifest and moves the recording on. What it decides follows from the catalogue and the chunk
 * files, so that a crash at any point only means that it is decided again.
 */
export class Finalizer implements RecordingListener {
  readonly #parts: FinalizerParts;
  readonly #runner: JobRunner;
  readonly #watches = new Map<RecordingId, Watch>();
  readonly #stopping = new AbortController();
  /** Segments of finished recordings that were found to hold more than their MP4s do. */
  readonly #foundSegments = new Map<RecordingId, readonly SegmentView[]>();
  #onRoom: () => void = () => {};
  #lookingBack: Promise<void> = Promise.resolve();
  /** Chunks that came since then were in no run of an earlier process. */
  #startedAtMs = Infinity;
  /** Whose files are being read for that; undefined once the engine knows more of it. */
  #lookedAt: RecordingId | undefined;

  constructor(parts: FinalizerParts) {
    this.#parts = {
      ...parts,
      engine: {
        segments: async (recordingId, key) => {
          const found = this.#foundSegments.get(recordingId);
          if (found === undefined) return parts.engine.segments(recordingId, key);
          return key === undefined ? found : found.filter((view) => isOfTrack(view, key));
        },
        unreadableSegments: (recordingId) => parts.engine.unreadableSegments(recordingId),
      },
    };
    this.#runner = new JobRunner(this.#parts, {
      trackFinalized: async (key) => {
        await this.#rewriteManifest(key);
        this.#watch(key.recordingId).unillustrated.push(key);
      },
      jobEnded: (key) => this.#considerEnded(key),
      roomIsLeft: () => this.#onRoom(),
    });
  }

  /** Whether one more finalization could run now, but none waits: then other work may begin. */
  leavesRoom(): boolean {
    return this.#runner.leavesRoom();
  }

  /** Has `callback` called each time that it comes to that; replaces the one before. */
  whenRoomIsLeft(callback: () => void): void {
    this.#onRoom = callback;
  }

  /** Takes up what an earlier process left. Call it after the engine's start. */
  async start(): Promise<void> {
    const { clock, limits, log } = this.#parts;
    this.#startedAtMs = clock.nowMs();
    const { interrupted, halfMadeFiles, unfinished, finished } = await recoverFinalizations(
      this.#parts,
    );
    for (const { recordingId } of unfinished) this.#consider(recordingId);
    const sinceMs = clock.nowMs() - limits.lateUploadWindowMs;
    const open = finished.filter(({ stoppedAtMs }) => (stoppedAtMs ?? 0) > sinceMs);
    this.#lookingBack = this.#lookBack(open);
    this.#runner.wake();
    log.info({ interrupted, unfinished: unfinished.length, halfMadeFiles }, "finalizer started");
  }

  /** Ends what is under way, to be taken up again by the next start, and waits for that. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    for (const watch of this.#watches.values()) watch.cancelTimer();
    await this.#runner.stop();
    await this.#parts.extras?.stop();
    await this.#lookingBack;
    for (const watch of this.#watches.values()) {
      await watch.considering;
      await watch.manifest;
    }
  }

  recordingChanged(recordingId: RecordingId): void {
    // The engine has the recording in memory now, and knows all that is there.
    this.#foundSegments.delete(recordingId);
    if (this.#lookedAt === recordingId) this.#lookedAt = undefined;
    this.#consider(recordingId);
  }

  async recordingDeleted(recordingId: RecordingId): Promise<void> {
    const watch = this.#watches.get(recordingId);
    watch?.cancelTimer();
    await this.#runner.forget(recordingId);
    await this.#parts.extras?.forget(recordingId);
    await watch?.considering;
    await watch?.manifest;
    this.#watches.delete(recordingId);
    this.#foundSegments.delete(recordingId);
    if (this.#lookedAt === recordingId) this.#lookedAt = undefined;
  }

  /**
   * Tries the failed tracks of a recording again.
   *
   * @throws RecordingNotFoundError, NothingToRetryError
   */
  async retry(recordingId: RecordingId): Promise<void> {
    const { catalog, queue } = this.#parts;
    const record = await catalog.findRecording(recordingId);
    if (record === undefined || record.deletedAtMs !== null) {
      throw new RecordingNotFoundError(recordingId);
    }
    const tracks = await catalog.tracks(recordingId);
    const failed = tracks.filter(({ job }) => job?.state === "failed");
    if (failed.length === 0) throw new NothingToRetryError(recordingId);
    await queue.enqueueAll(failed.map(keyOf));
    this.#runner.wake();
  }

  /**
   * Finds chunks that came late and just before a crash: the catalogue knows nothing of them, only
   * their files do. One recording after the other, since nobody waits for it.
   */
  async #lookBack(records: readonly RecordingRecord[]): Promise<void> {
    const { catalog, log } = this.#parts;
    for (const { recordingId } of records) {
      if (this.#stopping.signal.aborted) return;
      this.#lookedAt = recordingId;
      try {
        const tracks = await catalog.tracks(recordingId);
        const views = await this.#segmentsOnDisk(recordingId);
        // What changed meanwhile is being considered, with more than was found here.
        if (this.#lookedAt !== recordingId) continue;
        const isNewer = tracks.some(
          (track) =>
            track.result !== null &&
            fingerprintOf(track.result.segments) !== fingerprintOf(segmentsOf(track, views)),
        );
        if (!isNewer) continue;
        this.#foundSegments.set(recordingId, views);
        this.#consider(recordingId);
      } catch (error) {
        log.error({ err: error, recordingId }, "could not look for late chunks of a recording");
      }
    }
  }

  async #segmentsOnDisk(recordingId: RecordingId): Promise<SegmentView[]> {
    const { store } = this.#parts;
    const views: SegmentView[] = [];
    for (const segmentId of await store.list(recordingId)) {
      const reader = await store.read(recordingId, segmentId);
      if (reader === undefined) continue;
      const { description, state } = reader;
      const { participantId, trackId } = description;
      const summary = summaryOf(description, state);
      views.push({ recordingId, participantId, trackId, segmentId, summary });
      await reader.close();
    }
    return views;
  }

  #watch(recordingId: RecordingId): Watch {
    const known = this.#watches.get(recordingId);
    if (known !== undefined) return known;
    const watch: Watch = {
      considering: undefined,
      isStale: false,
      ended: [],
      unillustrated: [],
      isOver: false,
      cancelTimer: () => {},
      lateSinceMs: new Map(),
      askedWith: new Map(),
      manifest: Promise.resolve(),
    };
    this.#watches.set(recordingId, watch);
    return watch;
  }

  #consider(recordingId: RecordingId): void {
    if (this.#stopping.signal.aborted) return;
    const watch = this.#watch(recordingId);
    watch.isStale = true;
    this.#beginConsidering(recordingId, watch);
  }

  #considerEnded(key: TrackKey): void {
    if (this.#stopping.signal.aborted) return;
    const watch = this.#watch(key.recordingId);
    watch.ended.push(key);
    this.#beginConsidering(key.recordingId, watch);
  }

  #beginConsidering(recordingId: RecordingId, watch: Watch): void {
    watch.considering ??= this.#considerWhileStale(recordingId, watch).finally(() => {
      watch.considering = undefined;
      if (watch.isOver && !isBehind(watch)) this.#watches.delete(recordingId);
    });
  }

  /** Never rejects: what goes wrong is tried again after a while. */
  async #considerWhileStale(recordingId: RecordingId, watch: Watch): Promise<void> {
    const { clock, limits, log } = this.#parts;
    while (isBehind(watch) && !this.#stopping.signal.aborted) {
      const ended = watch.isStale ? [] : watch.ended;
      watch.ended = [];
      watch.isStale = false;
      watch.isOver = false;
      try {
        if (ended.length > 0 && (await this.#othersGoOn(ended, watch))) continue;
        watch.cancelTimer();
        const untilMs = await this.#considerOnce(recordingId, watch);
        if (untilMs !== undefined) this.#considerAt(recordingId, watch, untilMs);
      } catch (error) {
        log.error({ err: error, recordingId }, "could not see to the finalization of a recording");
        this.#considerAt(recordingId, watch, clock.nowMs() + limits.retryDelayMs);
      }
    }
  }

  #considerAt(recordingId: RecordingId, watch: Watch, atMs: number): void {
    if (this.#stopping.signal.aborted) return;
    const { clock } = this.#parts;
    const delayMs = Math.max(0, atMs - clock.nowMs());
    watch.cancelTimer = clock.after(delayMs, () => this.#consider(recordingId));
  }

  /**
   * Whether the end of these tracks' jobs changes nothing yet: each is settled, and others of the
   * recording are queued or running, whose ends come here too. To look at all tracks at the end of each
   * would take time that grows with the square of their number.
   */
  async #othersGoOn(ended: readonly TrackKey[], watch: Watch): Promise<boolean> {
    const { catalog, engine, queue } = this.#parts;
    for (const key of ended) {
      const record = await catalog.findRecording(key.recordingId);
      const track = await catalog.track(key);
      if (record === undefined || track === undefined || record.deletedAtMs !== null) return false;
      const views = await engine.segments(key.recordingId, key);
      if (this.#decide(record, track, views, watch).next !== "settled") return false;
      if (!(await queue.hasOpenJobs(key.recordingId))) return false;
    }
    return true;
  }

  /** Does what is to be done now. Gives when to look again; undefined when a change will tell. */
  async #considerOnce(recordingId: RecordingId, watch: Watch): Promise<number | undefined> {
    const { catalog, engine, queue } = this.#parts;
    const record = await catalog.findRecording(recordingId);
    if (record === undefined || record.deletedAtMs !== null || record.state === "recording") {
      watch.isOver = true;
      return undefined;
    }
    const tracks = await catalog.tracks(recordingId);
    const views = tracks.length === 0 ? [] : await engine.segments(recordingId);
    const viewsOf = Map.groupBy(views, nameOf);
    const decisions: TrackDecision[] = [];
    const wanted: TrackRecord[] = [];
    for (const track of tracks) {
      const decision = this.#decide(record, track, viewsOf.get(nameOf(track)) ?? [], watch);
      decisions.push(decision);
      if (decision.next === "finalize") wanted.push(track);
    }
    if (wanted.length > 0) {
      await queue.enqueueAll(wanted.map(keyOf));
      for (const track of wanted) {
        const segments = segmentsOf(track, viewsOf.get(nameOf(track)) ?? []);
        watch.askedWith.set(nameOf(track), fingerprintOf(segments));
        watch.lateSinceMs.delete(nameOf(track));
      }
      this.#runner.wake();
    }
    if (decisions.every(isSettled)) {
      await this.#settle(record, tracks, watch);
      // Earlier they would take the processor from the MP4s of the recording's other tracks.
      for (const key of watch.unillustrated.splice(0)) this.#parts.extras?.request(key);
    }
    const waits = decisions.flatMap((decision) =>
      decision.next === "wait" ? decision.untilMs : [],
    );
    watch.isOver =
      decisions.every(({ next }) => next === "settled") &&
      tracks.every(({ job }) => job?.state === "done");
    return waits.length === 0 ? undefined : Math.min(...waits);
  }

  #decide(
    record: RecordingRecord,
    track: TrackRecord,
    views: readonly SegmentView[],
    watch: Watch,
  ): TrackDecision {
    const { clock, limits } = this.#parts;
    const name = nameOf(track);
    const nowMs = clock.nowMs();
    const segments = segmentsOf(track, views);
    // A run takes what is there when it begins, which can be more than it was asked for with.
    const taken = [
      watch.askedWith.get(name) ?? [],
      track.job?.state === "done" && track.result !== null
        ? fingerprintOf(track.result.segments)
        : [],
    ].flat();
    // Nobody knows what a run took that failed in an earlier process, but not what came in this one.
    const isNewer = segments.some(
      ({ lastChunkAt }) => lastChunkAt !== null && Date.parse(lastChunkAt) > this.#startedAtMs,
    );
    const decision = decideTrack(
      {
        job: track.job?.state,
        segments,
        takenFingerprints: taken.length === 0 && isNewer ? [NOTHING_TAKEN] : taken,
        stoppedAtMs: record.stoppedAtMs ?? record.startedAtMs,
        lateSinceMs: watch.lateSinceMs.get(name),
      },
      nowMs,
      limits,
    );
    if (decision.next === "wait" && decision.isLate && !watch.lateSinceMs.has(name)) {
      watch.lateSinceMs.set(name, nowMs);
    }
    return decision;
  }

  /** All tracks have ended: tells so, in the manifest first. */
  async #settle(
    record: RecordingRecord,
    tracks: readonly TrackRecord[],
    watch: Watch,
  ): Promise<void> {
    const { catalog, clock, log } = this.#parts;
    const reasons = tracks.flatMap(({ job, participantId, trackId }) =>
      job?.state === "failed"
        ? [`Track ${JSON.stringify(trackId)} of ${JSON.stringify(participantId)}: ${job.error}`]
        : [],
    );
    const state = reasons.length === 0 ? "ready" : "failed";
    if (record.state === state || record.state === "ready") return;
    const change = { atMs: clock.nowMs(), reason: reasons.length === 0 ? null : reasons.join(" ") };
    await this.#writeManifest(
      { ...record, state, reason: change.reason, finalizedAtMs: change.atMs },
      watch,
    );
    await catalog.advanceRecording(record.recordingId, state, change);
    log.info({ recordingId: record.recordingId, state, reason: change.reason }, "recording ended");
  }

  /** A track of a recording that had ended already has a new MP4. */
  async #rewriteManifest({ recordingId }: TrackKey): Promise<void> {
    const record = await this.#parts.catalog.findRecording(recordingId);
    if (record === undefined || record.deletedAtMs !== null) return;
    if (record.state !== "ready" && record.state !== "failed") return;
    await this.#writeManifest(record, this.#watch(recordingId));
  }

  async #writeManifest(record: RecordingRecord, watch: Watch): Promise<void> {
    const { catalog, layout } = this.#parts;
    const before = watch.manifest;
    const writing = (async () => {
      await Promise.allSettled([before]);
      const tracks = await catalog.tracks(record.recordingId);
      const manifest = buildManifest(record, tracks, layout);
      // Without indentation: that of metadata that is nested deeply is many times its size.
      const text = `${JSON.stringify(manifest)}\n`;
      await writeFileDurably(layout.manifestPath(record.recordingId), text);
    })();
    // Whoever waits for the last write must not fail with it: its own caller does.
    watch.manifest = writing.then(
      () => undefined,
      () => undefined,
    );
    await writing;
  }
}

/** Whether something happened since the last look. */
function isBehind({ isStale, ended }: Watch): boolean {
  return isStale || ended.length > 0;
}

/** Whether nothing more is to come of a track but what late chunks may bring. */
function isSettled(decision: TrackDecision): boolean {
  return decision.next === "settled" || (decision.next === "wait" && decision.isLate);
}

function segmentsOf(track: TrackKey, views: readonly SegmentView[]) {
  return views.filter((view) => isOfTrack(view, track)).map(({ summary }) => summary);
}

function keyOf({ recordingId, participantId, trackId }: TrackKey): TrackKey {
  return { recordingId, participantId, trackId };
}

function nameOf({ participantId, trackId }: TrackKey): string {
  return JSON.stringify([participantId, trackId]);
}

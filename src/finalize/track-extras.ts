import { mkdir, rm } from "node:fs/promises";
import { basename, join } from "node:path";
import type { Logger } from "pino";
import type { RecordingId } from "../contract/ids.ts";
import type { FfmpegBinary } from "../process/ffmpeg-binary.ts";
import type { Catalog, MediaRecord, TrackKey } from "../recording/ports.ts";
import { FairTurns } from "../jobs/fair-turns.ts";
import { publishFile } from "../storage/durable-files.ts";
import type { RecordingsLayout } from "../storage/layout.ts";
import { type FfmpegConfinement, findFfmpegConfinement } from "./ffmpeg-confinement.ts";
import type { FfmpegContext } from "./ffmpeg-run.ts";
import type { FinalizeLimits } from "./finalize-limits.ts";
import { makePoster } from "./poster.ts";
import { measureWaveform } from "./waveform.ts";

/** What making extras needs. */
export interface TrackExtrasParts {
  readonly catalog: Catalog;
  readonly layout: RecordingsLayout;
  readonly ffmpeg: FfmpegBinary;
  readonly limits: FinalizeLimits;
  readonly log: Logger;
}

/** What is being made at this moment. */
interface Making {
  readonly key: TrackKey;
  readonly cancel: AbortController;
  readonly ended: Promise<void>;
}

/**
 * Makes what is shown beside a track's MP4, its poster and its waveform, once the MP4 is published: one
 * track at a time, and nothing waits for it. Recordings take turns. A failure is logged and changes
 * nothing for the track. The list of tracks to do is in memory only: a request for a missing file adds
 * its track again.
 */
export class TrackExtras {
  readonly #parts: TrackExtrasParts;
  /** By name; a track that is asked for twice is made once. */
  readonly #waiting = new Map<string, TrackKey>();
  readonly #turns = new FairTurns<RecordingId>();
  /** Those that an attempt left without a file that they should have. */
  readonly #triedInVain = new Map<string, TrackKey>();
  #making: Making | undefined;
  #confinement: Promise<FfmpegConfinement> | undefined;
  #isStopping = false;

  constructor(parts: TrackExtrasParts) {
    this.#parts = parts;
  }

  /** Removes what a crash left half made. Call it before anything else. */
  start(): Promise<void> {
    return this.#tidyUp();
  }

  /** Has the files of a published track made, anew when they are there. */
  request({ recordingId, participantId, trackId }: TrackKey): void {
    if (this.#isStopping) return;
    const key = { recordingId, participantId, trackId };
    this.#triedInVain.delete(nameOf(key));
    this.#waiting.set(nameOf(key), key);
    this.#next();
  }

  /**
   * Has the files made of a track that lacks one: a crash may have come between. Gives whether they are
   * on their way; they are not when they failed, or had nothing to show, since this process began.
   */
  requestMissing(key: TrackKey): boolean {
    const name = nameOf(key);
    if (this.#triedInVain.has(name) || this.#isStopping) return false;
    const isMaking = this.#making !== undefined && nameOf(this.#making.key) === name;
    if (!isMaking) this.request(key);
    return true;
  }

  /** Gives up what is to be made of a recording, and waits for that. */
  async forget(recordingId: RecordingId): Promise<void> {
    for (const [name, key] of this.#waiting) {
      if (key.recordingId === recordingId) this.#waiting.delete(name);
    }
    for (const [name, key] of this.#triedInVain) {
      if (key.recordingId === recordingId) this.#triedInVain.delete(name);
    }
    const making = this.#making;
    if (making?.key.recordingId !== recordingId) return;
    making.cancel.abort();
    await making.ended;
  }

  /** Gives up everything, and waits for that. */
  async stop(): Promise<void> {
    this.#isStopping = true;
    this.#waiting.clear();
    this.#making?.cancel.abort();
    await this.#making?.ended;
  }

  #next(): void {
    if (this.#making !== undefined) return;
    const waiting = [...this.#waiting.values()];
    const recordingId = this.#turns.next(waiting.map((key) => key.recordingId));
    const key = waiting.find((candidate) => candidate.recordingId === recordingId);
    if (key === undefined) return;
    this.#waiting.delete(nameOf(key));
    const cancel = new AbortController();
    const ended = this.#make(key, cancel.signal).finally(() => {
      this.#making = undefined;
      this.#next();
    });
    this.#making = { key, cancel, ended };
  }

  /** Never rejects: what stays is removed the next time. */
  async #tidyUp(): Promise<void> {
    const { layout, log } = this.#parts;
    try {
      await rm(layout.extrasWorkDirectory, { recursive: true, force: true });
    } catch (error) {
      log.warn({ err: error }, "half-made posters and waveforms cannot be removed");
    }
  }

  /** Never rejects. */
  async #make(key: TrackKey, signal: AbortSignal): Promise<void> {
    const { catalog, layout, ffmpeg, limits, log } = this.#parts;
    try {
      const track = await catalog.track(key);
      const media = track?.result?.media ?? null;
      if (media === null) return;
      this.#confinement ??= findFfmpegConfinement();
      const context = { ffmpeg, limits, signal, confinement: await this.#confinement };
      signal.throwIfAborted();
      const beganAt = performance.now();
      await mkdir(layout.extrasWorkDirectory, { recursive: true });
      let failure: { readonly error: unknown } | undefined;
      if (media.videoCodec !== null) {
        try {
          const isMade = await publishPoster(layout, key, media, context);
          if (!isMade) this.#triedInVain.set(nameOf(key), key);
        } catch (error) {
          signal.throwIfAborted();
          failure = { error };
        }
      }
      // Without a poster there can be a waveform.
      if (media.audioCodec !== null) await publishWaveform(layout, key, media, context);
      if (failure !== undefined) throw failure.error;
      log.debug({ ...key, tookMs: Math.round(performance.now() - beganAt) }, "track illustrated");
    } catch (error) {
      if (signal.aborted) return;
      this.#triedInVain.set(nameOf(key), key);
      log.warn({ err: error, ...key }, "could not make the poster or the waveform of a track");
    } finally {
      await this.#tidyUp();
    }
  }
}

function nameOf({ recordingId, participantId, trackId }: TrackKey): string {
  return JSON.stringify([recordingId, participantId, trackId]);
}

/** Gives whether there was a picture to make it of. */
async function publishPoster(
  layout: RecordingsLayout,
  key: TrackKey,
  { durationMs }: MediaRecord,
  context: FfmpegContext,
): Promise<boolean> {
  const path = layout.posterPath(key);
  const workPath = join(layout.extrasWorkDirectory, basename(path));
  const isMade = await makePoster(layout.mediaPath(key), durationMs, workPath, context);
  if (isMade) await publishFile(workPath, path);
  return isMade;
}

async function publishWaveform(
  layout: RecordingsLayout,
  key: TrackKey,
  { durationMs }: MediaRecord,
  context: FfmpegContext,
): Promise<void> {
  const waveform = await measureWaveform(layout.mediaPath(key), durationMs, context);
  context.signal.throwIfAborted();
  const path = layout.waveformPath(key);
  const workPath = join(layout.extrasWorkDirectory, basename(path));
  await Bun.write(workPath, JSON.stringify(waveform));
  await publishFile(workPath, path);
}

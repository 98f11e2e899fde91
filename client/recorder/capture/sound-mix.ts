import { EventEmitter } from "../event-emitter.ts";
import { RecorderError } from "../recorder-error.ts";
import type { RecorderClock } from "../recorder.d.ts";
import { isLive, pictureOf } from "./live-tracks.ts";
import { canProbeTracks, probeTrack } from "./track-probe.ts";

/** How often the stream's tracks are compared: scripts add and remove tracks without an event. */
const LOOK_MS = 100;

/** Looks from one that found a track giving to the next that asks. */
const ASK_LOOKS = 10;

/** Looks from one try to have a suspended mix run to the next. */
const RESUME_LOOKS = 10;

/** Looks without an answer after which nothing gives: counted, since a frozen page makes none. */
const SILENT_LOOKS = 20;

/** What is reported, until it is stopped. */
export interface SoundMixEvents {
  /** The mix gives sound for the first time; once. */
  readonly running: null;
  /** Other sound tracks are mixed than before. */
  readonly followed: null;
  /** What is recorded does not fit the app's stream any more; again at each look. */
  readonly changed: null;
}

/** What a mix is made of. */
export interface SoundMixParts {
  /** The app's. */
  readonly stream: MediaStream;
  readonly clock: RecorderClock;
}

/** Whether a stream has more sound tracks than a recorder takes: Chromium's takes the first. */
export function needsMix(stream: MediaStream): boolean {
  const tracks = stream.getAudioTracks();
  return tracks.length > 1 && tracks.some(isLive);
}

/**
 * All sound tracks of a stream as one, by Web Audio, each as loud as it is. Tracks that are added,
 * removed, muted or ended are followed within a tenth of a second, and the mix ends with the last one.
 * It gives nothing while none of them gives anything, so that a recorder's stall shows it; only
 * Chromium lets a page find that out. Measured in Chromium 153 and 156 it is 5 to 25 ms later than its
 * sources.
 */
export class SoundMix {
  readonly #parts: SoundMixParts;
  readonly events = new EventEmitter<SoundMixEvents>();
  readonly #context: AudioContext;
  readonly #destination: MediaStreamAudioDestinationNode;
  readonly #track: MediaStreamTrack;
  readonly #nodes = new Map<MediaStreamTrack, MediaStreamAudioSourceNode>();
  /** What this context cannot take: not tried again. */
  readonly #refused = new WeakSet<MediaStreamTrack>();
  /** The app's, when `recorded` was asked for. */
  #pictures: readonly MediaStreamTrack[] = [];
  #hasRun = false;
  /** It is suspended on purpose. */
  #isHeld = false;
  #isAsking = false;
  #looks = 0;
  #suspendedLooks = 0;
  #endProbes: (() => void)[] = [];
  #cancelLook: () => void = () => undefined;

  /** Throws `RecorderError` (`not-supported`) where Web Audio is missing or takes no such tracks. */
  constructor(parts: SoundMixParts) {
    this.#parts = parts;
    const tracks = parts.stream.getAudioTracks().filter(isLive);
    const { context, destination } = openMix(tracks, this.#nodes);
    this.#context = context;
    this.#destination = destination;
    const [track] = destination.stream.getAudioTracks();
    if (track === undefined) throw notMixed(tracks.length, undefined);
    this.#track = track;
    context.addEventListener("statechange", () => this.#onState());
    this.#onState();
    this.#look();
  }

  /** Whether it has given sound: a context that no click has allowed gives none. */
  get hasRun(): boolean {
    return this.#hasRun;
  }

  /** It mixes nothing any more, and never will. */
  get isOver(): boolean {
    return !isLive(this.#track) || !this.#parts.stream.getAudioTracks().some(isLive);
  }

  /** What is to be recorded in place of the app's stream: its picture as it is now, and the mix. */
  recorded(): MediaStream {
    const { stream } = this.#parts;
    this.#pictures = stream.getVideoTracks();
    return new MediaStream([pictureOf(stream) ?? [], this.#track].flat());
  }

  /** Why nothing can be recorded as long as it has not run. */
  notRunning(): RecorderError {
    const why = "the browser lets no page mix sound before a click or a key press";
    return notMixed(this.#parts.stream.getAudioTracks().length, undefined, why);
  }

  /** Ends the mix and its track, for good. */
  stop(): void {
    this.#cancelLook();
    this.#stopAsking();
    for (const node of this.#nodes.values()) node.disconnect();
    this.#nodes.clear();
    this.#track.stop();
    // Rejects only where it is closed already.
    this.#context.close().catch(() => undefined);
  }

  #onState(): void {
    if (this.#hasRun || this.#context.state !== "running") return;
    this.#hasRun = true;
    this.events.emit("running", null);
  }

  #look(): void {
    this.#cancelLook = this.#parts.clock.after(LOOK_MS, () => {
      this.#look();
      this.#follow();
      this.#ask();
      this.#keepRunning();
      if (this.#isOther()) this.events.emit("changed", null);
    });
  }

  /** By the system, as by a phone call, or by the browser until a click. */
  #keepRunning(): void {
    const isSuspended = !this.#isHeld && this.#context.state !== "running";
    this.#suspendedLooks = isSuspended ? this.#suspendedLooks + 1 : 0;
    if (this.#suspendedLooks % RESUME_LOOKS !== 1) return;
    // Older browsers do not tell of clicks.
    const { userActivation } = navigator as Partial<Navigator>;
    if (userActivation?.hasBeenActive !== false) this.#resume();
  }

  #resume(): void {
    this.#isHeld = false;
    this.#context.resume().catch(() => {
      // Closed meanwhile. What is not allowed yet stays pending, and is tried again.
    });
  }

  #follow(): void {
    const tracks = this.#parts.stream.getAudioTracks();
    const live = new Set<MediaStreamTrack>(tracks.filter(isLive));
    for (const [track, node] of this.#nodes) {
      if (live.has(track)) continue;
      node.disconnect();
      this.#nodes.delete(track);
    }
    let isOther = false;
    for (const track of live) {
      if (this.#nodes.has(track) || this.#refused.has(track)) continue;
      try {
        this.#nodes.set(track, connected(track, this.#context, this.#destination));
        isOther = true;
      } catch (error) {
        // The others are mixed all the same; the app hears of it by the page's `error` event.
        this.#refused.add(track);
        reportError(error);
      }
    }
    if (isOther) {
      // What was added may give.
      this.#stopAsking();
      if (this.#isHeld) this.#resume();
      this.events.emit("followed", null);
    }
    // A recorder ends with its last track.
    if (tracks.length > 0 && live.size === 0) this.#track.stop();
  }

  #isOther(): boolean {
    const { stream } = this.#parts;
    const [pictures, sounds] = [stream.getVideoTracks(), stream.getAudioTracks()];
    const isSame =
      pictures.length === this.#pictures.length &&
      pictures.every((track) => this.#pictures.includes(track));
    return !isSame || sounds.length === 0 || (sounds.some(isLive) && !isLive(this.#track));
  }

  /** Finds out whether the sources give anything: Web Audio makes silence of those that do not. */
  #ask(): void {
    if (!canProbeTracks() || this.#nodes.size === 0) return;
    this.#looks += 1;
    if (this.#isAsking) {
      if (this.#looks < SILENT_LOOKS || this.#isHeld || !this.#hasRun) return;
      this.#isHeld = true;
      this.#context.suspend().catch(() => undefined);
    } else if (this.#looks >= ASK_LOOKS) {
      this.#isAsking = true;
      this.#looks = 0;
      this.#endProbes = [...this.#nodes.keys()].map((track) =>
        probeTrack(track, () => {
          this.#stopAsking();
          if (this.#isHeld) this.#resume();
        }),
      );
    }
  }

  #stopAsking(): void {
    this.#isAsking = false;
    this.#looks = 0;
    for (const end of this.#endProbes) end();
    this.#endProbes = [];
  }
}

/** A context with these tracks in it, at their rate where the browser takes that. */
function openMix(
  tracks: readonly MediaStreamTrack[],
  nodes: Map<MediaStreamTrack, MediaStreamAudioSourceNode>,
): { readonly context: AudioContext; readonly destination: MediaStreamAudioDestinationNode } {
  const sampleRate = Math.max(...tracks.map((track) => track.getSettings().sampleRate ?? 0));
  // What is not told may be stereo.
  const channelCount = Math.max(...tracks.map((track) => track.getSettings().channelCount ?? 2));
  let cause: unknown;
  for (const rate of sampleRate > 0 ? [{ sampleRate }, {}] : [{}]) {
    let context: AudioContext | undefined;
    try {
      // It plays nothing, but has the device's clock: on a busy machine Chromium's mix without a device
      // (`sinkId: { type: "none" }`) was 40 to 60 ms late.
      context = new AudioContext(rate);
      const destination = new MediaStreamAudioDestinationNode(context, { channelCount });
      // Firefox takes tracks of the context's own rate only.
      for (const track of tracks) nodes.set(track, connected(track, context, destination));
      return { context, destination };
    } catch (error) {
      cause = error;
      nodes.clear();
      context?.close().catch(() => undefined);
    }
  }
  throw notMixed(tracks.length, cause);
}

function connected(
  track: MediaStreamTrack,
  context: AudioContext,
  destination: AudioNode,
): MediaStreamAudioSourceNode {
  const mediaStream = new MediaStream([track]);
  const node = new MediaStreamAudioSourceNode(context, { mediaStream });
  node.connect(destination);
  return node;
}

function notMixed(
  tracks: number,
  cause: unknown,
  why = "this browser's Web Audio is missing or fails",
): RecorderError {
  const message = `The ${tracks} sound tracks of this stream cannot be recorded as one: ${why}. Start the recording from a click, or record each sound track by a recorder of its own.`;
  return new RecorderError("not-supported", message, { cause });
}

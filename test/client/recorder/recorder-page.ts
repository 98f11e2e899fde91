import { ClientRecorder } from "../../../client/recorder/client-recorder.ts";
import type {
  ClientRecorderOptions,
  RetryCause,
  SegmentReason,
  UploadRetry,
} from "../../../client/recorder/recorder.d.ts";
import { sha256Hex } from "../../../client/recorder/upload/sha256-hex.ts";
import { openNumberedStream } from "../../fixtures/numbered-stream.ts";

/** What one run of the browser's MediaRecorder handed over, all of it. */
export interface GivenSegment {
  /** Bytes of each blob, in order. */
  readonly sizes: readonly number[];
  /** Of the blobs in order, hexadecimal; empty on a page that is no secure context. */
  readonly sha256: string;
}

/** What a stream holds. */
interface StreamRequest {
  readonly picture: boolean;
  readonly sound: boolean;
}

declare global {
  interface Window {
    recorderPage: RecorderPage;
  }
}

const given: Blob[][] = [];
/** Of all tones. */
const soundContexts: AudioContext[] = [];
/** The recorder's own. */
const mixContexts: AudioContext[] = [];
const mediaRecorders: MediaRecorder[] = [];
/** A connection that nothing holds may be collected, and its tracks fall silent. */
const peers: RTCPeerConnection[] = [];
/** While true, the browser's recorders seem to give nothing. */
let isSilent = false;
/** While true, they do not stop when they are told to. */
let isHung = false;

/** Tells what the recorder under test is given, beside it and without its help. */
class WatchedMediaRecorder extends MediaRecorder {
  constructor(stream: MediaStream, options?: MediaRecorderOptions) {
    super(stream, options);
    const blobs: Blob[] = [];
    const withheld: Blob[] = [];
    given.push(blobs);
    mediaRecorders.push(this);
    this.addEventListener("dataavailable", (event) => {
      // What is withheld comes with the next blob, as from a recorder that recovers.
      withheld.push(event.data);
      if (isSilent) return event.stopImmediatePropagation();
      if (withheld.length > 1) {
        event.stopImmediatePropagation();
        const data = new Blob(withheld.splice(0), { type: event.data.type });
        this.dispatchEvent(new BlobEvent("dataavailable", { data }));
        return undefined;
      }
      withheld.length = 0;
      blobs.push(event.data);
      return undefined;
    });
  }

  override stop(): void {
    if (!isHung) super.stop();
  }
}
globalThis.MediaRecorder = WatchedMediaRecorder;

/** Tells what the recorder under test makes of sound. */
class WatchedAudioContext extends AudioContext {
  constructor(options?: AudioContextOptions) {
    super(options);
    mixContexts.push(this);
  }
}
const PlainAudioContext = AudioContext;
globalThis.AudioContext = WatchedAudioContext;

/** What the tests do in the page. */
class RecorderPage {
  readonly ClientRecorder = ClientRecorder;
  /** The recorder that a test works with. */
  recorder = new ClientRecorder();
  readonly errors: string[] = [];
  /** What `recorder` said of tracks that give nothing, such as "leaving-out audio". */
  readonly stalls: string[] = [];
  /** Why each of its segments was begun. */
  readonly reasons: SegmentReason[] = [];
  stream = new MediaStream();
  retries = 0;
  /** Of `recorder`, all of them. */
  readonly retryEvents: UploadRetry[] = [];

  /** Makes `recorder`. */
  make(options: ClientRecorderOptions): ClientRecorder {
    this.recorder = new ClientRecorder({ participantId: "alice", ...options });
    this.recorder.on("error", (error) => this.errors.push(error.code));
    this.recorder.on("stall", ({ action, silent }) => {
      this.stalls.push(`${action} ${silent.join(" ")}`);
    });
    this.recorder.on("segment", (change) => {
      if (change.type === "started") this.reasons.push(change.reason);
    });
    this.recorder.on("retry", (retry) => {
      this.retries += 1;
      this.retryEvents.push(retry);
    });
    return this.recorder;
  }

  /** Makes `recorder` and starts it: picture and sound, in slices of 200 ms unless told otherwise. */
  async record(recordingId: string, options: ClientRecorderOptions = {}): Promise<ClientRecorder> {
    const recorder = this.make({ timesliceMs: 200, ...options });
    await recorder.startRecording(this.openStream({ picture: true, sound: true }), recordingId);
    return recorder;
  }

  /** A moving picture of 320 x 240, a tone, or both; `stream` from then on. */
  openStream({ picture, sound }: StreamRequest): MediaStream {
    this.stream = new MediaStream([
      ...(picture ? [pictureTrack()] : []),
      ...(sound ? [soundTrack()] : []),
    ]);
    return this.stream;
  }

  /** A sound track of this tone alone, as loud as any mix of two takes; see `suspendSound`. */
  openTone(frequencyHz: number): MediaStreamTrack {
    return soundTrack(frequencyHz, 0.4);
  }

  /** Of the mixes that the recorder made, in order. */
  mixStates(): readonly AudioContextState[] {
    return mixContexts.map(({ state }) => state);
  }

  /** Suspends all tones, which then give nothing, not even silence; or lets them go on. */
  async suspendSound(isSuspended: boolean): Promise<void> {
    for (const context of soundContexts) {
      await (isSuspended ? context.suspend() : context.resume());
    }
  }

  /** A picture track that gives a frame at each call, and nothing at all in between. */
  openFrames(): { readonly track: MediaStreamTrack; readonly giveFrame: () => void } {
    const track = new MediaStreamTrackGenerator({ kind: "video" });
    const writer = track.writable.getWriter();
    const canvas = new OffscreenCanvas(320, 240);
    const context = canvas.getContext("2d");
    if (context === null) throw new Error("The canvas has no 2D context");
    let number = 0;
    const giveFrame = (): void => {
      number += 1;
      context.fillStyle = `hsl(${(number * 7) % 360} 80% 50%)`;
      context.fillRect(0, 0, 320, 240);
      void writer.write(new VideoFrame(canvas, { timestamp: performance.now() * 1_000 }));
    };
    return { track, giveFrame };
  }

  /** What a peer gets of a stream: tracks that no element plays. */
  async remoteOf(local: MediaStream): Promise<MediaStream> {
    const [near, far] = [new RTCPeerConnection(), new RTCPeerConnection()];
    peers.push(near, far);
    near.addEventListener("icecandidate", ({ candidate }) => void far.addIceCandidate(candidate));
    far.addEventListener("icecandidate", ({ candidate }) => void near.addIceCandidate(candidate));
    const remote = new MediaStream();
    far.addEventListener("track", ({ track }) => remote.addTrack(track));
    const connected = new Promise<void>((resolve) => {
      far.addEventListener("connectionstatechange", () => {
        if (far.connectionState === "connected") resolve();
      });
    });
    for (const track of local.getTracks()) near.addTrack(track, local);
    await near.setLocalDescription();
    if (near.localDescription !== null) await far.setRemoteDescription(near.localDescription);
    await far.setLocalDescription();
    if (far.localDescription !== null) await near.setRemoteDescription(far.localDescription);
    await connected;
    return remote;
  }

  /** Pictures that show their own number, 30 a second, and a tone; `stream` from then on. */
  async openNumberedStream(): Promise<MediaStream> {
    const { stream } = await openNumberedStream({
      streamName: "numbered",
      width: 640,
      height: 360,
      framesPerSecond: 30,
      firstNumber: 0,
      toneHz: 440,
    });
    this.stream = stream;
    return stream;
  }

  /** The browser's recorder that runs, for events that no test can make it give by itself. */
  mediaRecorder(): MediaRecorder {
    const newest = mediaRecorders.at(-1);
    if (newest === undefined) throw new Error("Nothing was recorded");
    return newest;
  }

  /** Lets the browser's recorders fall silent, and speak again. */
  silence(silent: boolean): void {
    isSilent = silent;
  }

  /** Lets the browser's recorders hang, and be responsive again. */
  hang(hung: boolean): void {
    isHung = hung;
  }

  /** Has the running recorder give so many bytes that cannot be compressed. */
  giveNoise(bytes: number): void {
    const blocks: Uint8Array<ArrayBuffer>[] = [];
    // More at once is refused.
    for (let left = bytes; left > 0; left -= 65_536) {
      blocks.push(crypto.getRandomValues(new Uint8Array(Math.min(left, 65_536))));
    }
    const { state } = this.mediaRecorder();
    if (state !== "recording") return;
    const data = new Blob(blocks);
    this.mediaRecorder().dispatchEvent(new BlobEvent("dataavailable", { data }));
  }

  /** Bytes that the recorders of this page gave, one after the other. */
  async givenBytes(): Promise<number[]> {
    return [...new Uint8Array(await new Blob(given.flat()).arrayBuffer())];
  }

  /**
   * For what must last a time by itself: a recording without chunks, a pause, a window in which
   * nothing may happen.
   */
  sleep(durationMs: number): Promise<void> {
    return new Promise((resolve) => {
      setTimeout(resolve, durationMs);
    });
  }

  /** Resolves at the first progress of `recorder` for which it holds. */
  untilProgress(
    holds: (progress: ClientRecorder["progress"]) => boolean,
  ): Promise<ClientRecorder["progress"]> {
    return new Promise((resolve) => {
      const off = this.recorder.on("progress", (progress) => {
        if (!holds(progress)) return;
        off();
        resolve(progress);
      });
    });
  }

  /** Resolves when `recorder` has recorded so many more chunks. */
  async untilMore(chunks: number): Promise<void> {
    const before = this.recorder.progress.recorded.chunks;
    await this.untilProgress(({ recorded }) => recorded.chunks >= before + chunks);
  }

  /** Resolves when `recorder` has told so many more retries of this cause; gives the last one. */
  untilRetries(count: number, cause: RetryCause): Promise<UploadRetry> {
    let left = count;
    return new Promise((resolve) => {
      const off = this.recorder.on("retry", (retry) => {
        if (retry.cause !== cause) return;
        left -= 1;
        if (left > 0) return;
        off();
        resolve(retry);
      });
    });
  }

  /** Resolves when `recorder` begins a segment for this reason. */
  untilSegment(reason: SegmentReason): Promise<void> {
    return new Promise((resolve) => {
      const off = this.recorder.on("segment", (change) => {
        if (change.type !== "started" || change.reason !== reason) return;
        off();
        resolve();
      });
    });
  }

  /** Resolves when `recorder` enters this state. */
  untilState(wanted: ClientRecorder["state"]): Promise<void> {
    return new Promise((resolve) => {
      const off = this.recorder.on("statechange", ({ state }) => {
        if (state !== wanted) return;
        off();
        resolve();
      });
    });
  }

  /** Code of the `RecorderError` that this rejects with; undefined when it resolves. */
  async codeOf(outcome: Promise<void>): Promise<string | undefined> {
    try {
      await outcome;
      return undefined;
    } catch (error) {
      return error instanceof Error && "code" in error ? String(error.code) : String(error);
    }
  }

  /** What each MediaRecorder of this page gave, in order of their making. */
  given(): Promise<GivenSegment[]> {
    return Promise.all(
      given.map(async (blobs) => ({
        sizes: blobs.map(({ size }) => size),
        sha256: (await sha256Hex(new Blob(blobs))) ?? "",
      })),
    );
  }
}

function pictureTrack(): MediaStreamTrack {
  const canvas = document.createElement("canvas");
  canvas.width = 320;
  canvas.height = 240;
  const context = canvas.getContext("2d");
  if (context === null) throw new Error("The canvas has no 2D context");
  let number = 0;
  setInterval(() => {
    number += 1;
    context.fillStyle = `hsl(${number % 360} 80% 50%)`;
    context.fillRect((number * 7) % 320, (number * 3) % 240, 80, 60);
  }, 33);
  const [track] = canvas.captureStream(30).getVideoTracks();
  if (track === undefined) throw new Error("The canvas gives no track");
  return track;
}

function soundTrack(frequency = 440, amplitude = 1): MediaStreamTrack {
  const context = new PlainAudioContext();
  soundContexts.push(context);
  const oscillator = new OscillatorNode(context, { frequency });
  const destination = new MediaStreamAudioDestinationNode(context);
  oscillator.connect(new GainNode(context, { gain: amplitude })).connect(destination);
  oscillator.start();
  const [track] = destination.stream.getAudioTracks();
  if (track === undefined) throw new Error("The tone gives no track");
  return track;
}

window.recorderPage = new RecorderPage();

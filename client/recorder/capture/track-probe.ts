/** A frame or a block of samples, which holds memory until it is closed. */
interface ClosableMedia {
  close(): void;
}

/** Chromium's MediaStreamTrackProcessor, which reads pictures and sound; others have none in pages. */
type TrackProcessor = new (init: { readonly track: MediaStreamTrack }) => {
  readonly readable: ReadableStream<ClosableMedia>;
};

function isTrackProcessor(value: unknown): value is TrackProcessor {
  return typeof value === "function";
}

/** Whether this browser lets a page find out that a track gives nothing. */
export function canProbeTracks(): boolean {
  return isTrackProcessor(Reflect.get(globalThis, "MediaStreamTrackProcessor"));
}

/**
 * Calls `onMedia` once, when the track gives its next frame or samples. Costs nothing while it gives
 * none: no encoder runs. A picture source that rests gives its last picture again to everything new
 * that takes from it, so it counts as giving; see `refreshPicture`. Does nothing in browsers without a
 * track processor.
 *
 * @returns ends the probe
 */
export function probeTrack(track: MediaStreamTrack, onMedia: () => void): () => void {
  const Processor: unknown = Reflect.get(globalThis, "MediaStreamTrackProcessor");
  if (!isTrackProcessor(Processor) || track.readyState !== "live") return () => undefined;
  const reader = new Processor({ track }).readable.getReader();
  let isOver = false;
  const end = (): void => {
    isOver = true;
    void reader.cancel().catch(() => undefined);
  };
  const read = async (): Promise<void> => {
    const { value } = await reader.read();
    value?.close();
    // Without a value the track has ended.
    if (isOver || value === undefined) return;
    end();
    onMedia();
  };
  read().catch((error: unknown) => {
    // A track that fails before it gives anything gives nothing; later, the listener has failed.
    if (isOver) reportError(error);
    isOver = true;
  });
  return end;
}

/**
 * Has a canvas or a shared screen on which nothing moves give its last picture once more, to its
 * recorder too: measured in Chromium 156, where each new consumer of a track makes its source do so.
 * Without pictures Chromium's recorder holds the sound back.
 */
export function refreshPicture(track: MediaStreamTrack): void {
  probeTrack(track, () => undefined)();
}

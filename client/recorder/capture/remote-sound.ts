/** Chromium and Firefox give every remote WebRTC track such a label; devices have names. */
const REMOTE_LABEL = "remote audio";

/** Whether a stream has sound that comes from a WebRTC peer. */
export function hasRemoteSound(stream: MediaStream): boolean {
  return stream.getAudioTracks().some(({ label }) => label === REMOTE_LABEL);
}

/**
 * Plays a stream's sound, muted, in an element that nobody sees. Chromium pulls the sound of a remote
 * WebRTC track only while an element plays it (crbug.com/933677, reported of Web Audio): without one
 * its recorder waits for ever, and holds back the pictures too.
 */
export class RemoteSound {
  #element: HTMLAudioElement | null = null;
  #tracks: readonly MediaStreamTrack[] = [];

  /** Plays this stream's sound from now on, and no other's. */
  play(stream: MediaStream): void {
    const tracks = stream.getAudioTracks();
    const isSame =
      tracks.length === this.#tracks.length &&
      tracks.every((track, i) => track === this.#tracks[i]);
    if (isSame) return;
    this.stop();
    const element = new Audio();
    this.#element = element;
    this.#tracks = tracks;
    element.muted = true;
    element.srcObject = new MediaStream(tracks);
    element.play().catch(() => {
      // Refused, or ended by `stop`: if no other element plays it, the sound is found to be silent.
    });
  }

  /** Ends it. */
  stop(): void {
    if (this.#element === null) return;
    this.#element.pause();
    this.#element.srcObject = null;
    this.#element = null;
    this.#tracks = [];
  }
}

/** What was asked of the browser when it refused. */
export type WantedMedia = "camera-and-microphone" | "camera" | "microphone" | "screen";

const WORDS: Record<WantedMedia, { the: string; them: string; are: string }> = {
  "camera-and-microphone": { the: "camera and microphone", them: "both", are: "are" },
  camera: { the: "camera", them: "it", are: "is" },
  microphone: { the: "microphone", them: "it", are: "is" },
  screen: { the: "screen", them: "it", are: "is" },
};

/**
 * Why `getUserMedia` or `getDisplayMedia` gave nothing, and what the person can do about it. The
 * names of the errors are those of Media Capture and Streams, section 10.2.
 *
 * @param error - what the browser rejected with.
 */
export function describeMediaProblem(
  error: { readonly name: string; readonly message: string },
  wanted: WantedMedia,
): string {
  const { the, them, are } = WORDS[wanted];
  switch (error.name) {
    case "NotAllowedError":
    case "SecurityError":
      return wanted === "screen"
        ? "The screen is not shared: the browser's question was cancelled, or the system does not let this browser record the screen. Press Share screen to be asked again."
        : `The browser does not let this page use the ${the}. Allow ${them} for this site (the icon beside the address), then try again.`;
    case "NotFoundError":
      return `No ${the.replace(" and ", " or ")} was found. Connect one, or choose another device, then try again.`;
    case "NotReadableError":
      return `The ${the} ${are} busy: another program or tab may be using ${them}. Close it, then try again.`;
    case "OverconstrainedError":
      return `The chosen ${the.replace(" and ", " or ")} is no longer there. Choose another device.`;
    default:
      return `The browser could not open the ${the} (${error.message || error.name}). Choose another device, or reload the page.`;
  }
}

/** What the page needs of the browser before anything can be recorded. */
export interface BrowserAbilities {
  /** `window.isSecureContext`. */
  readonly isSecureContext: boolean;
  readonly hasMediaDevices: boolean;
  readonly hasMediaRecorder: boolean;
}

/**
 * The sentence to show where this browser or this address cannot record at all; null where it can.
 *
 * @param origin - of this page, such as `http://192.168.1.4:3000`.
 */
export function describeMissingAbility(abilities: BrowserAbilities, origin: string): string | null {
  if (!abilities.isSecureContext) {
    return `Browsers give camera and microphone only to pages opened over https:// or on localhost, and this one is at ${origin}. Open it at a secure address to record; the recordings below can be used here too.`;
  }
  if (!abilities.hasMediaDevices || !abilities.hasMediaRecorder) {
    return "This browser cannot record: it has no MediaRecorder. Use a current Chrome, Edge, Firefox or Safari (14.1 or later); the recordings below can be used here too.";
  }
  return null;
}

/** What kinds of tracks a stream has. */
export interface TrackKinds {
  readonly hasVideo: boolean;
  readonly hasAudio: boolean;
}

/**
 * Best first. H.264 in Matroska is copied into an MP4 that plays anywhere; VP9 and AV1 are copied;
 * VP8 must be transcoded. MP4 comes last: Chromium gives no data before a keyframe there, and
 * H.264 breaks at a change of the resolution; it is all that Safari before 18.4 has.
 */
const VIDEO_CANDIDATES: readonly { readonly container: string; readonly codec: string }[] = [
  { container: "video/x-matroska", codec: "avc1" },
  { container: "video/webm", codec: "vp9" },
  { container: "video/webm", codec: "av01" },
  { container: "video/webm", codec: "vp8" },
];

const VIDEO_LAST_RESORTS = ["video/webm", "video/mp4"] as const;

const AUDIO_CANDIDATES = ["audio/webm;codecs=opus", "audio/webm", "audio/mp4"] as const;

/** MIME types to try for such a stream, best first. Without sound no sound codec is named. */
export function candidateMimeTypes({ hasVideo, hasAudio }: TrackKinds): readonly string[] {
  if (!hasVideo) return AUDIO_CANDIDATES;
  const withCodecs = VIDEO_CANDIDATES.map(
    ({ container, codec }) => `${container};codecs=${codec}${hasAudio ? ",opus" : ""}`,
  );
  return [...withCodecs, ...VIDEO_LAST_RESORTS];
}

/**
 * The first candidate that is supported; undefined when none is.
 *
 * @param isTypeSupported `MediaRecorder.isTypeSupported`
 */
export function chooseMimeType(
  candidates: readonly string[],
  isTypeSupported: (mimeType: string) => boolean,
): string | undefined {
  return candidates.find((mimeType) => isTypeSupported(mimeType));
}

/** Beginnings of the names of sound codecs, in the `codecs` of a MIME type. */
const SOUND_CODECS = ["opus", "mp4a", "pcm", "vorbis", "flac"] as const;

/**
 * What an app chose for picture and sound, for the picture alone: a recorder that is told of sound
 * waits for it.
 */
export function withoutSound(mimeType: string): string {
  return mimeType.replace(/;\s*codecs="?([^"]*)"?/, (_, codecs: string) => {
    const left = codecs
      .split(",")
      .map((codec) => codec.trim())
      .filter((codec) => !SOUND_CODECS.some((name) => codec.startsWith(name)));
    return left.length === 0 ? "" : `;codecs=${left.join(",")}`;
  });
}

/** What kinds of tracks a stream has. */
export interface TrackKinds {
  readonly hasVideo: boolean;
  readonly hasAudio: boolean;
}

/**
 * Best first. H.264 in Matroska is copied into an MP4 that plays anywhere; VP9 and AV1 are copied;
 * VP8 must be transcoded. MP4 comes last: Chromium gives no data before a keyframe there; it is all
 * that Safari before 18.4 has.
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

/**
 * A type with what is to be tried before it. As `avc1` in MP4 Chromium leaves H.264's parameter sets
 * out of the stream, so nothing can be decoded after a change of the picture's size; as `avc3`
 * (ISO/IEC 14496-15, 5.4.2) they stay where they change. An MP4 without a named codec can be `avc1`.
 */
export function resizableFirst(mimeType: string, { hasVideo, hasAudio }: TrackKinds): string[] {
  if (!hasVideo || !/^video\/mp4/i.test(mimeType)) return [mimeType];
  if (/\bavc1\b/.test(mimeType)) return [mimeType.replace(/\bavc1\b/, "avc3"), mimeType];
  if (mimeType.includes("codecs")) return [mimeType];
  const sounds = hasAudio ? [",mp4a.40.2", ",opus"] : [""];
  return [...sounds.map((sound) => `${mimeType};codecs=avc3${sound}`), mimeType];
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

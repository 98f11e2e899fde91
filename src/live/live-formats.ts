import type { MatroskaTrack } from "../finalize/matroska-tracks.ts";
import { FragmentedMp4Media } from "./fragmented-mp4-media.ts";
import { configurationOf } from "./h264-annex-b.ts";
import { type LiveCodec, liveCodecOf } from "./live-codecs.ts";
import type { LiveMedia, LiveTracks } from "./live-media.ts";
import { WebmMedia } from "./webm-media.ts";

const H264 = "V_MPEG4/ISO/AVC";

interface Shown {
  readonly track: MatroskaTrack;
  readonly codec: LiveCodec;
}

/**
 * The form in which these tracks are shown: WebM where it takes their codecs, else MP4. A sound that
 * does not go with the picture is left out. Undefined when nothing can be shown.
 *
 * @param keyFrame the first picture, which can tell what the header does not
 */
export function liveMediaFor(
  { video, audio }: LiveTracks,
  keyFrame: Uint8Array | undefined,
): LiveMedia | undefined {
  const isByteStream = video?.codecId === H264 && video.codecPrivate === "";
  const picture = shownOf(video && isByteStream ? withConfiguration(video, keyFrame) : video);
  const sound = shownOf(audio);
  const choices = [
    picture !== undefined && sound !== undefined ? [picture, sound] : [],
    picture === undefined ? [] : [picture],
    sound === undefined ? [] : [sound],
  ];
  for (const choice of choices) {
    const container = (["webm", "mp4"] as const).find(
      (name) => choice.length > 0 && choice.every(({ codec }) => codec.containers.includes(name)),
    );
    if (container === undefined) continue;
    const tracks: LiveTracks = {
      video: choice.find(({ track }) => track.kind === "video")?.track,
      audio: choice.find(({ track }) => track.kind === "audio")?.track,
    };
    const codecs = choice.map(({ codec }) => codec.name);
    return container === "webm"
      ? new WebmMedia(tracks, codecs)
      : new FragmentedMp4Media(tracks, codecs, isByteStream);
  }
  return undefined;
}

function shownOf(track: MatroskaTrack | undefined): Shown | undefined {
  const codec = track === undefined ? undefined : liveCodecOf(track);
  return track === undefined || codec === undefined ? undefined : { track, codec };
}

function withConfiguration(track: MatroskaTrack, keyFrame: Uint8Array | undefined): MatroskaTrack {
  const configuration = keyFrame === undefined ? undefined : configurationOf(keyFrame);
  return { ...track, codecPrivate: configuration?.toHex() ?? "" };
}

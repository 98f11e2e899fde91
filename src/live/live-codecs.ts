import type { MatroskaTrack } from "../finalize/matroska-tracks.ts";

/** A codec that browsers play live, with its name in a `codecs` parameter (RFC 6381). */
export interface LiveCodec {
  readonly name: string;
  /** The byte stream formats of Media Source Extensions that Chromium takes it in. */
  readonly containers: readonly ("webm" | "mp4")[];
}

/** AAC LC, which all that is not told is taken for (ISO/IEC 14496-3, table 1.17). */
const AAC_LC = 2;

/** How the codec of a track is named; undefined when it cannot be shown live. */
export function liveCodecOf({
  codecId,
  codecPrivate,
  encoded,
}: MatroskaTrack): LiveCodec | undefined {
  if (encoded) return undefined;
  const parameters = Uint8Array.fromHex(codecPrivate);
  switch (codecId) {
    case "V_VP8":
      return { name: "vp8", containers: ["webm"] };
    case "V_VP9":
      return { name: "vp9", containers: ["webm"] };
    case "V_AV1":
      return { name: av1Name(parameters), containers: ["webm"] };
    case "A_OPUS":
      return { name: "opus", containers: ["webm", "mp4"] };
    case "V_MPEG4/ISO/AVC": {
      // An AVCDecoderConfigurationRecord begins with its version, then profile, constraints, level.
      if (parameters[0] !== 1 || parameters.length < 7) return undefined;
      return { name: `avc1.${parameters.subarray(1, 4).toHex()}`, containers: ["mp4"] };
    }
    case "A_AAC": {
      if (parameters.length < 2) return undefined;
      const objectType = (parameters[0] ?? 0) >> 3;
      return { name: `mp4a.40.${objectType || AAC_LC}`, containers: ["mp4"] };
    }
    default:
      return undefined;
  }
}

/** AV1-ISOBMFF, 2.3 (`av1C`) and 5 (codecs parameter); the main profile when nothing is told. */
function av1Name(parameters: Uint8Array): string {
  if (parameters.length < 4) return "av01.0.08M.08";
  const [, levels = 0, flags = 0] = parameters;
  const level = String(levels & 0x1f).padStart(2, "0");
  const isHighBitDepth = (flags & 0x40) !== 0;
  const isTwelveBit = (flags & 0x20) !== 0;
  const highDepth = isTwelveBit ? "12" : "10";
  const tier = (flags & 0x80) === 0 ? "M" : "H";
  return `av01.${levels >> 5}.${level}${tier}.${isHighBitDepth ? highDepth : "08"}`;
}

import type { SourceStream, StreamCodec } from "./source-stream.ts";

const NAL_H264 = { sequenceParameters: 7, pictureParameters: 8 } as const;
const NAL_HEVC = { video: 32, sequence: 33, picture: 34 } as const;

/** Audio object types that ISO/IEC 14496-3, 1.5.1.1, names. */
const AAC_OBJECT_TYPE_MAX = 46;
/** Indexes 13 and 14 of a sample rate are reserved, 15 has the rate behind it (ISO/IEC 14496-3, 1.6.3.4). */
const AAC_RESERVED_RATES: ReadonlySet<number> = new Set([13, 14]);

const OPUS_HEAD = "OpusHead";
/** Channels of mapping family 0 (RFC 7845, 5.1.1.1). */
const OPUS_STEREO = 2;

/**
 * Whether the parameters of a stream are such that a decoder may not be able to begin with them: then
 * a copy can have every packet and show nothing. It costs nothing to look, and a doubt is no proof: what
 * a decoder makes of the stream tells. Pure.
 */
export function hasDoubtfulParameters({ codec, configuration, isAnnexB }: SourceStream): boolean {
  if (configuration === undefined || codec === undefined) return false;
  const check = CHECKS[codec];
  if (check === undefined || isAnnexB === true) return false;
  return !check(Buffer.from(configuration, "hex"));
}

const CHECKS: Readonly<Partial<Record<StreamCodec, (bytes: Buffer) => boolean>>> = {
  h264: isAvcConfiguration,
  hevc: isHevcConfiguration,
  aac: isAudioSpecificConfig,
  opus: isOpusHead,
  flac: (bytes) => bytes.length === 0 || bytes.toString("latin1", 0, 4) === "fLaC",
};

/** AVCDecoderConfigurationRecord (ISO/IEC 14496-15, 5.3.3.1). */
function isAvcConfiguration(bytes: Buffer): boolean {
  if (bytes.length < 7 || bytes[0] !== 1) return false;
  const sequences = (bytes[5] ?? 0) & 0x1f;
  let at = 6;
  for (let i = 0; i < sequences; i += 1) {
    const unit = unitAt(bytes, at);
    if (unit === undefined || ((unit[0] ?? 0) & 0x1f) !== NAL_H264.sequenceParameters) return false;
    // Profile, compatibility and level are those of the first set.
    if (i === 0 && !unit.subarray(1, 4).equals(bytes.subarray(1, 4))) return false;
    at += 2 + unit.length;
  }
  const pictures = bytes[at] ?? 0;
  at += 1;
  for (let i = 0; i < pictures; i += 1) {
    const unit = unitAt(bytes, at);
    if (unit === undefined || ((unit[0] ?? 0) & 0x1f) !== NAL_H264.pictureParameters) return false;
    at += 2 + unit.length;
  }
  return sequences > 0 === pictures > 0;
}

/** `numOfArrays` of an HEVCDecoderConfigurationRecord, the last byte before them (8.3.3.1). */
const HEVC_ARRAYS_AT = 22;

/**
 * Whether H.265 has its parameter sets in the stream alone, as `hev1` may: Apple's players want them in
 * the header. Pure.
 */
export function lacksParameterSets({ codec, configuration = "" }: SourceStream): boolean {
  return codec === "hevc" && Buffer.from(configuration, "hex")[HEVC_ARRAYS_AT] === 0;
}

/** HEVCDecoderConfigurationRecord (ISO/IEC 14496-15, 8.3.3.1). */
function isHevcConfiguration(bytes: Buffer): boolean {
  if (bytes.length < 23 || bytes[0] !== 1) return false;
  const found = new Set<number>();
  let at = 23;
  for (let array = 0; array < (bytes[HEVC_ARRAYS_AT] ?? 0); array += 1) {
    if (at + 3 > bytes.length) return false;
    const type = (bytes[at] ?? 0) & 0x3f;
    const units = bytes.readUInt16BE(at + 1);
    at += 3;
    for (let i = 0; i < units; i += 1) {
      const unit = unitAt(bytes, at);
      if (unit === undefined || (unit[0] ?? 0) >> 1 !== type) return false;
      found.add(type);
      at += 2 + unit.length;
    }
  }
  const wanted = Object.values(NAL_HEVC).filter((type) => found.has(type)).length;
  return wanted === 0 || wanted === Object.values(NAL_HEVC).length;
}

/** A unit behind the two bytes of its length; undefined when it is empty or does not fit. */
function unitAt(bytes: Buffer, at: number): Buffer | undefined {
  if (at + 2 > bytes.length) return undefined;
  const length = bytes.readUInt16BE(at);
  return length === 0 || at + 2 + length > bytes.length
    ? undefined
    : bytes.subarray(at + 2, at + 2 + length);
}

/** AudioSpecificConfig (ISO/IEC 14496-3, 1.6.2.1). */
function isAudioSpecificConfig(bytes: Buffer): boolean {
  if (bytes.length < 2) return false;
  const bits = bytes.readUInt16BE(0);
  const type = bits >> 11;
  const isEscaped = type === 31;
  const objectType = isEscaped ? 32 + ((bits >> 5) & 0x3f) : type;
  const rate = isEscaped ? (bits >> 1) & 0xf : (bits >> 7) & 0xf;
  return objectType > 0 && objectType <= AAC_OBJECT_TYPE_MAX && !AAC_RESERVED_RATES.has(rate);
}

/** The header of Opus in Ogg, which Matroska has too (RFC 7845, 5.1). */
function isOpusHead(bytes: Buffer): boolean {
  if (bytes.length < 19 || bytes.toString("latin1", 0, OPUS_HEAD.length) !== OPUS_HEAD)
    return false;
  const [version = 0, channels = 0, family = 0] = [bytes[8], bytes[9], bytes[18]];
  return version >> 4 === 0 && channels > 0 && (family !== 0 || channels <= OPUS_STEREO);
}

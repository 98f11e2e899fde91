import { ebmlChildren, readUnsigned } from "./ebml.ts";
import type { PictureDisplay, PictureSize } from "./picture-display.ts";

/** A track as the header of a Matroska stream describes it (RFC 9559, section 5.1.4). */
export interface MatroskaTrack {
  readonly number: number;
  readonly kind: "video" | "audio" | "other";
  /** Such as `V_VP9`. */
  readonly codecId: string;
  /** Hexadecimal; tells whether two segments share their decoder's parameters. */
  readonly codecPrivate: string;
  readonly width: number | null;
  readonly height: number | null;
  /** How its pictures are shown. */
  readonly display?: PictureDisplay;
  readonly channels: number | null;
  readonly sampleRate: number | null;
  /** How much earlier than its block a frame is presented (RFC 9559, section 5.1.4.1.25). */
  readonly codecDelayMs: number;
  /** Of each of its frames (RFC 9559, section 5.1.4.1.13); undefined when they vary. */
  readonly frameMs: number | undefined;
  /** Compressed or encrypted: the bytes of its blocks are not those of its frames. */
  readonly encoded: boolean;
}

const ID = {
  trackEntry: 0xae,
  number: 0xd7,
  type: 0x83,
  codecId: 0x86,
  codecPrivate: 0x63a2,
  contentEncodings: 0x6d80,
  codecDelay: 0x56aa,
  defaultDuration: 0x23e383,
  video: 0xe0,
  width: 0xb0,
  height: 0xba,
  cropBottom: 0x54aa,
  cropTop: 0x54bb,
  cropLeft: 0x54cc,
  cropRight: 0x54dd,
  displayWidth: 0x54b0,
  displayHeight: 0x54ba,
  displayUnit: 0x54b2,
  projection: 0x7670,
  projectionType: 0x7671,
  poseYaw: 0x7673,
  posePitch: 0x7674,
  poseRoll: 0x7675,
  audio: 0xe1,
  samplingFrequency: 0xb5,
  channels: 0x9f,
  timestampScale: 0x2ad7b1,
  muxingApp: 0x4d80,
} as const;

/** Nanoseconds in a tick when Info does not say (RFC 9559, section 5.1.2.9). */
export const DEFAULT_TIMESTAMP_SCALE_NS = 1_000_000;

/** The tracks in the data of a Tracks element; entries without a number are left out. */
export function parseTracks(data: Uint8Array): MatroskaTrack[] {
  const tracks: MatroskaTrack[] = [];
  for (const { id, data: entry } of ebmlChildren(data)) {
    if (id !== ID.trackEntry) continue;
    const track = parseTrackEntry(entry);
    if (track.number > 0) tracks.push(track);
  }
  return tracks;
}

/** Nanoseconds in a tick, from the data of an Info element. */
export function parseTimestampScaleNs(data: Uint8Array): number {
  for (const child of ebmlChildren(data)) {
    if (child.id !== ID.timestampScale) continue;
    const scale = readUnsigned(child.data, 0, child.data.length);
    if (scale > 0) return scale;
  }
  return DEFAULT_TIMESTAMP_SCALE_NS;
}

/** Who wrote the stream, from the data of an Info element (RFC 9559, section 5.1.2.13). */
export function parseMuxingApp(data: Uint8Array): string {
  for (const child of ebmlChildren(data)) {
    if (child.id === ID.muxingApp) return new TextDecoder().decode(child.data);
  }
  return "";
}

function parseTrackEntry(entry: Uint8Array): MatroskaTrack {
  const fields = new Map<number, Uint8Array>();
  for (const { id, data } of ebmlChildren(entry)) {
    if (!fields.has(id)) fields.set(id, data);
    if (id !== ID.video && id !== ID.audio) continue;
    for (const child of ebmlChildren(data)) {
      fields.set(child.id, child.data);
      if (child.id !== ID.projection) continue;
      for (const pose of ebmlChildren(child.data)) fields.set(pose.id, pose.data);
    }
  }
  const unsigned = (id: number): number | null => {
    const data = fields.get(id);
    return data === undefined ? null : readUnsigned(data, 0, data.length);
  };
  const kind = kindOf(unsigned(ID.type));
  const frameNs = unsigned(ID.defaultDuration) ?? 0;
  return {
    number: unsigned(ID.number) ?? 0,
    kind,
    codecId: new TextDecoder().decode(fields.get(ID.codecId)).replace(/\0+$/, ""),
    codecPrivate: fields.get(ID.codecPrivate)?.toHex() ?? "",
    width: unsigned(ID.width),
    height: unsigned(ID.height),
    ...(kind === "video" ? { display: displayOfFields(fields) } : {}),
    channels: unsigned(ID.channels),
    sampleRate: floatOf(fields.get(ID.samplingFrequency)),
    codecDelayMs: (unsigned(ID.codecDelay) ?? 0) / 1e6,
    frameMs: frameNs === 0 ? undefined : frameNs / 1e6,
    encoded: fields.has(ID.contentEncodings),
  };
}

/** `DisplayUnit` of sizes that mean nothing (RFC 9559, section 5.1.4.1.28.14). */
const UNKNOWN_UNIT = 4;

/**
 * How pictures are shown: their size in any unit against that of their pixels (5.1.4.1.28.12), and the
 * pose of a flat projection (5.1.4.1.28.44), in which a yaw of half a turn mirrors and goes before the
 * roll, which is counterclockwise.
 */
function displayOfFields(fields: ReadonlyMap<number, Uint8Array>): PictureDisplay {
  const unsigned = (id: number): number => {
    const data = fields.get(id);
    return data === undefined ? 0 : readUnsigned(data, 0, data.length);
  };
  const stored = {
    width: unsigned(ID.width) - unsigned(ID.cropLeft) - unsigned(ID.cropRight),
    height: unsigned(ID.height) - unsigned(ID.cropTop) - unsigned(ID.cropBottom),
  };
  const hasSize = unsigned(ID.displayUnit) !== UNKNOWN_UNIT;
  const width = (hasSize ? unsigned(ID.displayWidth) : 0) || stored.width;
  const height = (hasSize ? unsigned(ID.displayHeight) : 0) || stored.height;
  const pixelAspect = { width: width * stored.height, height: height * stored.width };
  return {
    ...(unsigned(ID.projectionType) === 0 ? poseOf(fields) : {}),
    ...(Math.min(pixelAspect.width, pixelAspect.height) > 0
      ? { pixelAspect: reduced(pixelAspect) }
      : {}),
  };
}

function reduced({ width, height }: PictureSize): PictureSize {
  let [divisor, rest] = [width, height];
  while (rest > 0) [divisor, rest] = [rest, divisor % rest];
  return { width: width / divisor, height: height / divisor };
}

function poseOf(fields: ReadonlyMap<number, Uint8Array>): PictureDisplay {
  const degrees = (id: number): number => {
    const value = floatOf(fields.get(id)) ?? 0;
    return Number.isFinite(value) ? value : 0;
  };
  const halfTurns = (id: number): number => Math.round(degrees(id) / 180);
  const turns = Math.round(-degrees(ID.poseRoll) / 90);
  // Upside down is mirrored and turned by half.
  const isPitched = halfTurns(ID.posePitch) % 2 !== 0;
  const isMirrored = (halfTurns(ID.poseYaw) % 2 !== 0) !== isPitched;
  const rotation = ([0, 90, 180, 270] as const).at((turns + (isPitched ? 2 : 0)) % 4) ?? 0;
  return { rotation, isMirrored };
}

function kindOf(type: number | null): MatroskaTrack["kind"] {
  if (type === 1) return "video";
  return type === 2 ? "audio" : "other";
}

function floatOf(data: Uint8Array | undefined): number | null {
  if (data === undefined) return null;
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  if (data.length === 4) return view.getFloat32(0);
  return data.length === 8 ? view.getFloat64(0) : null;
}

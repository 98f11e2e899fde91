import type { PassedBlock } from "../finalize/passing-blocks.ts";
import type { MatroskaTrack } from "../finalize/matroska-tracks.ts";
import { isUpright, pixelRatio, squareSize } from "../finalize/picture-display.ts";
import type { LiveMedia, LiveTracks } from "./live-media.ts";

// RFC 9559, section 5; RFC 8794, section 11.2.
const ID = {
  ebml: 0x1a45dfa3,
  docType: 0x4282,
  docTypeVersion: 0x4287,
  docTypeReadVersion: 0x4285,
  info: 0x1549a966,
  timestampScale: 0x2ad7b1,
  muxingApp: 0x4d80,
  writingApp: 0x5741,
  tracks: 0x1654ae6b,
  trackEntry: 0xae,
  trackNumber: 0xd7,
  trackUid: 0x73c5,
  trackType: 0x83,
  codecId: 0x86,
  codecPrivate: 0x63a2,
  codecDelay: 0x56aa,
  video: 0xe0,
  pixelWidth: 0xb0,
  pixelHeight: 0xba,
  displayWidth: 0x54b0,
  displayHeight: 0x54ba,
  projection: 0x7670,
  projectionType: 0x7671,
  poseYaw: 0x7673,
  posePitch: 0x7674,
  poseRoll: 0x7675,
  audio: 0xe1,
  samplingFrequency: 0xb5,
  channels: 0x9f,
  cluster: 0x1f43b675,
  timestamp: 0xe7,
  simpleBlock: 0xa3,
} as const;

const UNSIZED_SEGMENT = Buffer.from([0x18, 0x53, 0x80, 0x67, 1, 255, 255, 255, 255, 255, 255, 255]);
const TICK_NS = 1_000_000;
const APP = Buffer.from("Track Capture");

/** Track numbers in what is written. */
const NUMBERS = { video: 1, audio: 2 } as const;
const TYPES = { video: 1, audio: 2 } as const;

/** A block's time counts from its Cluster's, in 16 bits with a sign. */
const RELATIVE_TICKS_MAX = 0x7fff;
const KEY_FLAG = 0x80;

/** `ProjectionType` of what is no sphere (RFC 9559, section 5.1.4.1.28.42). */
const FLAT = 0;

/** WebM (https://www.w3.org/TR/mse-byte-stream-format-webm/), a Cluster for each fragment. */
export class WebmMedia implements LiveMedia {
  readonly contentType: string;
  readonly tracks: LiveTracks;

  /** @param codecs as in `codecs=` */
  constructor(tracks: LiveTracks, codecs: readonly string[]) {
    const kind = tracks.video === undefined ? "audio" : "video";
    this.contentType = `${kind}/webm; codecs="${codecs.join(",")}"`;
    this.tracks = tracks;
  }

  header(): Uint8Array {
    const { video, audio } = this.tracks;
    return Buffer.concat([
      master(ID.ebml, [
        bytesOf(ID.docType, Buffer.from("webm")),
        unsigned(ID.docTypeVersion, 4),
        unsigned(ID.docTypeReadVersion, 2),
      ]),
      UNSIZED_SEGMENT,
      master(ID.info, [
        unsigned(ID.timestampScale, TICK_NS),
        bytesOf(ID.muxingApp, APP),
        bytesOf(ID.writingApp, APP),
      ]),
      master(ID.tracks, [
        ...(video === undefined ? [] : [trackEntry(video, "video")]),
        ...(audio === undefined ? [] : [trackEntry(audio, "audio")]),
      ]),
    ]);
  }

  fragment(blocks: readonly PassedBlock[]): Uint8Array {
    const clusters: Buffer[] = [];
    let baseTicks = 0;
    let parts: Buffer[] = [];
    const endCluster = (): void => {
      if (parts.length > 0) clusters.push(master(ID.cluster, parts));
    };
    for (const block of blocks) {
      const ticks = Math.max(0, Math.round(block.atMs));
      if (parts.length === 0 || Math.abs(ticks - baseTicks) > RELATIVE_TICKS_MAX) {
        endCluster();
        baseTicks = ticks;
        parts = [unsigned(ID.timestamp, baseTicks)];
      }
      const header = Buffer.alloc(4);
      header[0] = 0x80 | NUMBERS[block.track.kind === "audio" ? "audio" : "video"];
      header.writeInt16BE(ticks - baseTicks, 1);
      header[3] = block.isKey ? KEY_FLAG : 0;
      parts.push(
        elementHeader(ID.simpleBlock, header.length + block.data.length),
        header,
        Buffer.from(block.data.buffer, block.data.byteOffset, block.data.length),
      );
    }
    endCluster();
    return Buffer.concat(clusters);
  }
}

function trackEntry(track: MatroskaTrack, kind: "video" | "audio"): Buffer {
  const codecPrivate = Buffer.from(track.codecPrivate, "hex");
  return master(ID.trackEntry, [
    unsigned(ID.trackNumber, NUMBERS[kind]),
    unsigned(ID.trackUid, NUMBERS[kind]),
    unsigned(ID.trackType, TYPES[kind]),
    bytesOf(ID.codecId, Buffer.from(track.codecId)),
    ...(codecPrivate.length === 0 ? [] : [bytesOf(ID.codecPrivate, codecPrivate)]),
    ...(track.codecDelayMs === 0 ? [] : [unsigned(ID.codecDelay, track.codecDelayMs * 1e6)]),
    kind === "video"
      ? master(ID.video, [
          unsigned(ID.pixelWidth, track.width ?? 0),
          unsigned(ID.pixelHeight, track.height ?? 0),
          ...shownAs(track),
        ])
      : master(ID.audio, [
          float(ID.samplingFrequency, track.sampleRate ?? 48_000),
          unsigned(ID.channels, track.channels ?? 1),
        ]),
  ]);
}

/** Size in square pixels and pose, where they are not those of the stored picture. */
function shownAs({ width, height, display = {} }: MatroskaTrack): Buffer[] {
  const elements: Buffer[] = [];
  const stored = { width: width ?? 0, height: height ?? 0 };
  if (pixelRatio(display) !== 1) {
    const square = squareSize(stored, display);
    elements.push(unsigned(ID.displayWidth, square.width));
    elements.push(unsigned(ID.displayHeight, square.height));
  }
  const { rotation = 0, isMirrored = false } = display;
  if (!isUpright(display)) {
    // Chromium's MSE, the only one that heeds it, turns clockwise and mirrors last. That is RFC 9559's
    // way where pictures are mirrored, and its opposite where they are not (5.1.4.1.28.46): measured with
    // Chromium 156, whose `src` follows the RFC.
    const roll = isMirrored ? -rotation : rotation;
    elements.push(
      master(ID.projection, [
        unsigned(ID.projectionType, FLAT),
        float(ID.poseYaw, isMirrored ? 180 : 0),
        float(ID.posePitch, 0),
        // From -180 to 180.
        float(ID.poseRoll, roll > 180 ? roll - 360 : roll < -180 ? roll + 360 : roll),
      ]),
    );
  }
  return elements;
}

function elementHeader(id: number, dataBytes: number): Buffer {
  const hex = id.toString(16);
  const idBytes = Buffer.from(hex.padStart(hex.length + (hex.length % 2), "0"), "hex");
  // A size of eight bytes fits all (RFC 8794, 6.2).
  const size = Buffer.alloc(8);
  size.writeBigUInt64BE(BigInt(dataBytes));
  size[0] = 1;
  return Buffer.concat([idBytes, size]);
}

function bytesOf(id: number, data: Buffer): Buffer {
  return Buffer.concat([elementHeader(id, data.length), data]);
}

function master(id: number, children: readonly Buffer[]): Buffer {
  return bytesOf(id, Buffer.concat(children));
}

function unsigned(id: number, value: number): Buffer {
  const data = Buffer.alloc(8);
  data.writeBigUInt64BE(BigInt(Math.min(Math.round(value), Number.MAX_SAFE_INTEGER)));
  return bytesOf(id, data);
}

function float(id: number, value: number): Buffer {
  const data = Buffer.alloc(8);
  data.writeDoubleBE(value);
  return bytesOf(id, data);
}

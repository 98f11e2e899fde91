import { readUnsigned } from "./ebml.ts";

/** IDs of Matroska's elements (RFC 9559, section 5) and of EBML's own (RFC 8794, section 11). */
export const ID = {
  ebml: 0x1a45dfa3,
  ebmlVersion: 0x4286,
  ebmlReadVersion: 0x42f7,
  ebmlMaxIdLength: 0x42f2,
  ebmlMaxSizeLength: 0x42f3,
  docType: 0x4282,
  docTypeVersion: 0x4287,
  docTypeReadVersion: 0x4285,
  segment: 0x18538067,
  seekHead: 0x114d9b74,
  info: 0x1549a966,
  tracks: 0x1654ae6b,
  cues: 0x1c53bb6b,
  tags: 0x1254c367,
  chapters: 0x1043a770,
  attachments: 0x1941a469,
  cluster: 0x1f43b675,
  position: 0xa7,
  prevSize: 0xab,
  silentTracks: 0x5854,
  encryptedBlock: 0xaf,
  crc32: 0xbf,
  void: 0xec,
  timestamp: 0xe7,
  simpleBlock: 0xa3,
  blockGroup: 0xa0,
  block: 0xa1,
  blockAdditions: 0x75a1,
  blockDuration: 0x9b,
  referenceBlock: 0xfb,
  discardPadding: 0x75a2,
} as const;

/** Flags of a block (RFC 9559, section 10.1 and 10.2); the first is that of a SimpleBlock alone. */
export const BLOCK_FLAG = { key: 0x80, invisible: 0x08 } as const;

/** A header of unknown size: what is cut out of a Cluster must not break a size. */
export const UNSIZED_CLUSTER: Uint8Array = Buffer.from("1f43b67501ffffffffffffff", "hex");
export const UNSIZED_SEGMENT: Uint8Array = Buffer.from("1853806701ffffffffffffff", "hex");

/** A Cluster's Timestamp of eight bytes (RFC 9559, section 5.1.3.1). */
export function timestampElement(ticks: number): Uint8Array {
  const element = Buffer.from([ID.timestamp, 0x88, 0, 0, 0, 0, 0, 0, 0, 0]);
  element.writeBigUInt64BE(BigInt(ticks), 2);
  return element;
}

/** A number that tells its own length, in as few bytes as it takes (RFC 8794, section 4). */
export function vint(value: number): Uint8Array {
  const bytes: number[] = [];
  // All ones is no number, but an unknown size.
  for (let rest = value; ; rest = Math.floor(rest / 256)) {
    bytes.unshift(rest & 0xff);
    const isWhole = value < 2 ** (7 * bytes.length) - 1;
    if (!isWhole) continue;
    bytes[0] = (bytes[0] ?? 0) | (0x100 >> bytes.length);
    return Uint8Array.from(bytes);
  }
}

/** What an element begins with: its ID, and its size in as few bytes as it takes. */
export function elementHeader(id: number, dataBytes: number): Uint8Array {
  return Buffer.concat([bigEndian(id), vint(dataBytes)]);
}

/** An element with its content. */
export function elementOf(id: number, ...data: readonly Uint8Array[]): Uint8Array {
  const dataBytes = data.reduce((sum, { length }) => sum + length, 0);
  return Buffer.concat([elementHeader(id, dataBytes), ...data]);
}

/** Track, time and flags of a block, which its frame follows. */
export function blockHead(track: Uint8Array, relativeTicks: number, flags: number): Uint8Array {
  return Uint8Array.of(...track, (relativeTicks >> 8) & 0xff, relativeTicks & 0xff, flags);
}

/** Two bytes, signed (RFC 9559, section 10.1). */
export function readInt16(bytes: Uint8Array, at: number): number {
  return (((bytes[at] ?? 0) << 24) >> 16) | (bytes[at + 1] ?? 0);
}

/** An element that is a number. */
export function unsignedElement(id: number, value: number): Uint8Array {
  return elementOf(id, bigEndian(value));
}

/** As many bytes as it takes, at least one. */
function bigEndian(value: number): Uint8Array {
  const bytes: number[] = [];
  for (let rest = value; rest > 0 || bytes.length === 0; rest = Math.floor(rest / 256)) {
    bytes.unshift(rest % 256);
  }
  return Uint8Array.from(bytes);
}

/**
 * The header of a document that all readers take. Undefined when the one that is told by these children
 * is such a one: IDs of four bytes, sizes of eight, a version that they know (RFC 8794, section 11.2).
 */
export function plainEbmlHeader(
  children: Iterable<{ readonly id: number; readonly data: Uint8Array }>,
): Uint8Array | undefined {
  const usual = new Map<number, number>([
    [ID.ebmlVersion, 1],
    [ID.ebmlReadVersion, 1],
    [ID.ebmlMaxIdLength, 4],
    [ID.ebmlMaxSizeLength, 8],
  ]);
  let isPlain = true;
  let docType = new Uint8Array(Buffer.from("matroska"));
  for (const { id, data } of children) {
    if (id === ID.docType) docType = new Uint8Array(data);
    const value = readUnsigned(data, 0, data.length);
    isPlain &&= value === (usual.get(id) ?? value);
    if (id === ID.docTypeVersion || id === ID.docTypeReadVersion) {
      isPlain &&= value <= DOCUMENT_VERSION;
    }
  }
  if (isPlain) return undefined;
  return elementOf(
    ID.ebml,
    ...[...usual].map(([id, value]) => unsignedElement(id, value)),
    elementOf(ID.docType, docType),
    unsignedElement(ID.docTypeVersion, DOCUMENT_VERSION),
    unsignedElement(ID.docTypeReadVersion, 2),
  );
}

/** Of Matroska (RFC 9559, section 4.1). */
const DOCUMENT_VERSION = 4;

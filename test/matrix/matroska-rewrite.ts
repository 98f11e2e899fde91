/** How a Matroska file is written anew, block by block. Times are kept. */
export interface RewriteOptions {
  /** Several packets of sound in a block. */
  readonly lacing?: "xiph" | "ebml" | "fixed";
  /** Cluster and Segment of unknown size, as a browser writes them. */
  readonly isUnknownSize?: boolean;
  /** CRC-32 first in each Cluster (RFC 8794, 11.3.1), with PrevSize, Position and Void behind it. */
  readonly hasCrc?: boolean;
  /** Each block in a BlockGroup. */
  readonly isGrouped?: boolean;
  /** H.264 with start codes of so many bytes and without CodecPrivate, as Chrome on Windows writes it. */
  readonly startCodeBytes?: 3 | 4;
  /** VP9's hidden pictures in blocks of their own, as hardware encoders write them. */
  readonly isSplit?: boolean;
  /** Longest cluster. */
  readonly clusterMs?: number;
}

const ID = {
  segment: 0x18538067,
  info: 0x1549a966,
  tracks: 0x1654ae6b,
  cluster: 0x1f43b675,
  timestamp: 0xe7,
  simpleBlock: 0xa3,
  blockGroup: 0xa0,
  block: 0xa1,
  trackEntry: 0xae,
  trackNumber: 0xd7,
  trackType: 0x83,
  codecPrivate: 0x63a2,
  defaultDuration: 0x23e383,
  flagLacing: 0x9c,
  crc32: 0xbf,
  void: 0xec,
  prevSize: 0xab,
  position: 0xa7,
  referenceBlock: 0xfb,
} as const;

interface Element {
  readonly id: number;
  /** Without ID and size. */
  readonly body: Buffer;
}

interface Block {
  readonly track: number;
  readonly ms: number;
  readonly isKey: boolean;
  readonly data: Buffer;
  /** What else its BlockGroup holds; undefined for a SimpleBlock. */
  readonly extras: readonly Element[] | undefined;
}

/** Writes a file that ffmpeg wrote in another way that is as right. Pure. */
export function rewriteMatroska(source: Buffer, options: RewriteOptions): Buffer {
  const [header, segment] = elementsOf(source);
  if (header === undefined || segment?.id !== ID.segment) throw new Error("This is no Matroska");
  const children = elementsOf(segment.body);
  const info = children.find(({ id }) => id === ID.info);
  const tracks = children.find(({ id }) => id === ID.tracks);
  if (info === undefined || tracks === undefined) throw new Error("No Info or no Tracks");
  const entries = elementsOf(tracks.body).filter(({ id }) => id === ID.trackEntry);
  const videoTracks = new Set(entries.filter((entry) => !isSound(entry)).map(numberOfTrack));
  const blocks = children
    .filter(({ id }) => id === ID.cluster)
    .flatMap(({ body }) => blocksOf(body))
    .flatMap((block) => (videoTracks.has(block.track) ? prepared(block, options) : [block]));
  // Laced packets have no times of their own: each is as long as the track says.
  const soundMs = blocks.filter(({ track }) => !videoTracks.has(track)).map(({ ms }) => ms);
  const spanMs = (soundMs.at(-1) ?? 0) - (soundMs[0] ?? 0);
  const packetNs = Math.round((spanMs * 1e6) / Math.max(1, soundMs.length - 1));
  const head = Buffer.concat([
    element(ID.info, withoutCrc(info.body)),
    element(
      ID.tracks,
      Buffer.concat(entries.map((entry) => rewrittenEntry(entry, { ...options, packetNs }))),
    ),
  ]);
  const clusters: Buffer[] = [];
  let position = head.length;
  for (const group of clustered(laced(blocks, videoTracks, options), videoTracks, options)) {
    const previous = clusters.at(-1)?.length ?? 0;
    const cluster = writeCluster(group, { previous, position }, options);
    clusters.push(cluster);
    position += cluster.length;
  }
  const body = Buffer.concat([head, ...clusters]);
  return Buffer.concat([
    element(header.id, header.body),
    options.isUnknownSize === true
      ? Buffer.concat([idBytes(ID.segment), UNKNOWN_SIZE])
      : Buffer.concat([idBytes(ID.segment), sizeBytes(body.length)]),
    body,
  ]);
}

const UNKNOWN_SIZE = Buffer.from("01ffffffffffffff", "hex");

function elementsOf(bytes: Buffer): Element[] {
  const elements: Element[] = [];
  for (let at = 0; at < bytes.length;) {
    const id = numberAt(bytes, at, false);
    const size = numberAt(bytes, at + id.length, true);
    const begin = at + id.length + size.length;
    // ffmpeg leaves the sizes of what it cannot go back to unknown: they reach to the end.
    const isUnknown = size.value === 2 ** (7 * size.length) - 1;
    const end = isUnknown ? bytes.length : Math.min(bytes.length, begin + size.value);
    elements.push({ id: id.value, body: bytes.subarray(begin, end) });
    at = end;
  }
  return elements;
}

/** An element's ID or size (RFC 8794, 4): the first set bit tells its length. */
function numberAt(bytes: Buffer, at: number, isSize: boolean): { value: number; length: number } {
  const first = bytes[at] ?? 0;
  const length = Math.clz32(first) - 23;
  let value = isSize ? first & (0xff >> length) : first;
  for (let i = 1; i < length; i += 1) value = value * 256 + (bytes[at + i] ?? 0);
  return { value, length };
}

function unsigned(body: Buffer): number {
  return body.length === 0 ? 0 : body.readUIntBE(0, body.length);
}

function blocksOf(cluster: Buffer): Block[] {
  const children = elementsOf(cluster);
  const clusterMs = unsigned(children.find(({ id }) => id === ID.timestamp)?.body ?? Buffer.of());
  return children.flatMap(({ id, body }): Block[] => {
    if (id === ID.simpleBlock) return [blockOf(body, clusterMs, undefined)];
    if (id !== ID.blockGroup) return [];
    const parts = elementsOf(body);
    const block = parts.find((part) => part.id === ID.block);
    if (block === undefined) return [];
    return [
      blockOf(
        block.body,
        clusterMs,
        parts.filter((part) => part !== block),
      ),
    ];
  });
}

function blockOf(body: Buffer, clusterMs: number, extras: readonly Element[] | undefined): Block {
  const track = numberAt(body, 0, true);
  return {
    track: track.value,
    ms: clusterMs + body.readInt16BE(track.length),
    isKey:
      extras === undefined
        ? ((body[track.length + 2] ?? 0) & 0x80) !== 0
        : !extras.some(({ id }) => id === ID.referenceBlock),
    data: body.subarray(track.length + 3),
    extras,
  };
}

const childOf = ({ body }: Element, id: number): Buffer =>
  elementsOf(body).find((child) => child.id === id)?.body ?? Buffer.of();
const numberOfTrack = (entry: Element): number => unsigned(childOf(entry, ID.trackNumber));
const isSound = (entry: Element): boolean => unsigned(childOf(entry, ID.trackType)) === 2;

function rewrittenEntry(
  entry: Element,
  options: RewriteOptions & { readonly packetNs: number },
): Buffer {
  const isAnnexB = options.startCodeBytes !== undefined && !isSound(entry);
  const hasDuration = options.lacing !== undefined && isSound(entry);
  const dropped = new Set<number>([
    ID.crc32,
    ...(isAnnexB ? [ID.codecPrivate] : []),
    ...(hasDuration ? [ID.defaultDuration, ID.flagLacing] : []),
  ]);
  const kept = elementsOf(entry.body).filter(({ id }) => !dropped.has(id));
  const parts = kept.map(({ id, body }) => element(id, body));
  if (hasDuration) {
    parts.push(element(ID.flagLacing, Buffer.of(1)));
    parts.push(element(ID.defaultDuration, unsignedBytes(options.packetNs)));
  }
  return element(ID.trackEntry, Buffer.concat(parts));
}

function withoutCrc(body: Buffer): Buffer {
  const kept = elementsOf(body).filter(({ id }) => id !== ID.crc32);
  return Buffer.concat(kept.map((child) => element(child.id, child.body)));
}

function prepared(block: Block, { startCodeBytes, isSplit = false }: RewriteOptions): Block[] {
  if (startCodeBytes !== undefined) return [{ ...block, data: annexB(block.data, startCodeBytes) }];
  return isSplit ? framesOf(block.data).map((data) => Object.assign({}, block, { data })) : [block];
}

/** The frames of a superframe, whose index is at its end (VP9 bitstream specification, annex B). */
function framesOf(data: Buffer): Buffer[] {
  const marker = data.at(-1) ?? 0;
  const count = (marker & 7) + 1;
  const sizeBytesEach = ((marker >> 3) & 3) + 1;
  const indexAt = data.length - 2 - count * sizeBytesEach;
  if (marker >> 5 !== 6 || data[indexAt] !== marker) return [data];
  const frames: Buffer[] = [];
  for (let i = 0, at = 0; i < count; i += 1) {
    const size = data.readUIntLE(indexAt + 1 + i * sizeBytesEach, sizeBytesEach);
    frames.push(data.subarray(at, at + size));
    at += size;
  }
  return frames;
}

/** The parameter sets are in the stream already: its encoder repeated them. */
function annexB(data: Buffer, startCodeBytes: 3 | 4): Buffer {
  const startCode = Buffer.from(startCodeBytes === 3 ? "000001" : "00000001", "hex");
  const parts: Buffer[] = [];
  for (let at = 0; at + 4 <= data.length;) {
    const length = data.readUInt32BE(at);
    // The first of a picture has 4 bytes in any case (H.264, B.1.2).
    parts.push(at === 0 ? Buffer.from("00000001", "hex") : startCode);
    parts.push(data.subarray(at + 4, at + 4 + length));
    at += 4 + length;
  }
  return Buffer.concat(parts);
}

const LACED_PACKETS = 4;

interface WrittenBlock extends Block {
  /** More than one for a laced block. */
  readonly packets: readonly Buffer[];
}

function laced(
  blocks: readonly Block[],
  videoTracks: ReadonlySet<number>,
  { lacing }: RewriteOptions,
): WrittenBlock[] {
  const written: WrittenBlock[] = [];
  let open: { at: number; block: WrittenBlock } | undefined;
  for (const block of blocks) {
    const canLace =
      lacing !== undefined && !videoTracks.has(block.track) && block.extras === undefined;
    const isSameSize = open?.block.data.length === block.data.length;
    if (canLace && open !== undefined && (lacing !== "fixed" || isSameSize)) {
      const packets = [...open.block.packets, block.data];
      open.block = { ...open.block, packets };
      written[open.at] = open.block;
      if (packets.length === LACED_PACKETS) open = undefined;
      continue;
    }
    const own = { ...block, packets: [block.data] };
    written.push(own);
    if (canLace) open = { at: written.length - 1, block: own };
    else if (!videoTracks.has(block.track)) open = undefined;
  }
  return written;
}

function clustered(
  blocks: readonly WrittenBlock[],
  videoTracks: ReadonlySet<number>,
  { clusterMs = 1_000 }: RewriteOptions,
): WrittenBlock[][] {
  const clusters: WrittenBlock[][] = [];
  for (const block of blocks) {
    const current = clusters.at(-1);
    const firstMs = current?.[0]?.ms ?? 0;
    const isKeyPicture = block.isKey && videoTracks.has(block.track);
    const isFull = block.ms - firstMs >= clusterMs || (isKeyPicture && block.ms > firstMs);
    if (current === undefined || isFull) clusters.push([block]);
    else current.push(block);
  }
  return clusters;
}

function writeCluster(
  blocks: readonly WrittenBlock[],
  place: { readonly previous: number; readonly position: number },
  options: RewriteOptions,
): Buffer {
  // A cluster's time is not negative; those of its blocks may be.
  const ms = Math.max(0, blocks[0]?.ms ?? 0);
  const parts = [element(ID.timestamp, unsignedBytes(ms))];
  if (options.hasCrc === true) {
    parts.push(element(ID.position, unsignedBytes(place.position)));
    parts.push(element(ID.prevSize, unsignedBytes(place.previous)));
    parts.push(element(ID.void, Buffer.alloc(7)));
  }
  parts.push(...blocks.map((block) => writeBlock(block, ms, options)));
  const body = Buffer.concat(parts);
  if (options.isUnknownSize === true) {
    return Buffer.concat([idBytes(ID.cluster), UNKNOWN_SIZE, body]);
  }
  if (options.hasCrc !== true) return element(ID.cluster, body);
  const crc = Buffer.alloc(4);
  crc.writeUInt32LE(Bun.hash.crc32(body));
  return element(ID.cluster, Buffer.concat([element(ID.crc32, crc), body]));
}

const LACING_FLAGS = { xiph: 0x02, fixed: 0x04, ebml: 0x06 } as const;

function writeBlock(block: WrittenBlock, clusterMs: number, options: RewriteOptions): Buffer {
  const isLaced = block.packets.length > 1 && options.lacing !== undefined;
  const isGroup = options.isGrouped === true || block.extras !== undefined;
  const head = Buffer.alloc(4);
  head[0] = 0x80 | block.track;
  head.writeInt16BE(block.ms - clusterMs, 1);
  head[3] = (isGroup || !block.isKey ? 0 : 0x80) | (isLaced ? LACING_FLAGS[options.lacing] : 0);
  const lace = isLaced ? laceSizes(block.packets, options.lacing) : Buffer.of();
  const body = Buffer.concat([head, lace, ...block.packets]);
  if (!isGroup) return element(ID.simpleBlock, body);
  const extras =
    block.extras ??
    // Which picture it needs does not matter to a decoder: only that it needs one.
    (block.isKey ? [] : [{ id: ID.referenceBlock, body: Buffer.from([0xd8]) }]);
  return element(
    ID.blockGroup,
    Buffer.concat([
      element(ID.block, body),
      ...extras.map((extra) => element(extra.id, extra.body)),
    ]),
  );
}

/** The number of packets and, but for the last, their sizes (RFC 9559, 10.3). */
function laceSizes(packets: readonly Buffer[], lacing: "xiph" | "ebml" | "fixed"): Buffer {
  const count = Buffer.of(packets.length - 1);
  const sizes = packets.slice(0, -1).map(({ length }) => length);
  if (lacing === "fixed") return count;
  if (lacing === "xiph") {
    return Buffer.concat([
      count,
      ...sizes.map((size) =>
        Buffer.of(...Array<number>(Math.floor(size / 255)).fill(255), size % 255),
      ),
    ]);
  }
  return Buffer.concat([
    count,
    ...sizes.map((size, i) => {
      if (i === 0) return sizeBytes(size, 2);
      // A signed difference: half of what two bytes hold is zero.
      return sizeBytes(size - (sizes[i - 1] ?? 0) + (2 ** 13 - 1), 2);
    }),
  ]);
}

function element(id: number, body: Buffer): Buffer {
  return Buffer.concat([idBytes(id), sizeBytes(body.length), body]);
}

function idBytes(id: number): Buffer {
  return unsignedBytes(id);
}

function unsignedBytes(value: number): Buffer {
  const hex = value.toString(16);
  return Buffer.from(hex.length % 2 === 0 ? hex : `0${hex}`, "hex");
}

/** @param length 4 by default: enough for every file here. */
function sizeBytes(size: number, length = 4): Buffer {
  const bytes = Buffer.alloc(length);
  bytes.writeUIntBE(size, 0, length);
  bytes[0] = (bytes[0] ?? 0) | (0x100 >> length);
  return bytes;
}

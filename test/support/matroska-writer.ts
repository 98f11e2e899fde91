/** A packet as it is to come out again. */
export interface WrittenPacket {
  readonly track: 1 | 2;
  readonly ticks: number;
  readonly isKey: boolean;
  readonly data: Uint8Array;
}

/** How Matroska is written. All of it is legal (RFC 8794, RFC 9559). */
export interface Dress {
  /** Bytes of the Segment's size, which is unknown. */
  readonly segmentSizeBytes: number;
  /** Bytes of each Cluster's size; more are taken where it is known and does not fit. */
  readonly clusterSizeBytes: number;
  readonly clustersAreSized: boolean;
  /** Bytes of the sizes of what is in a Cluster, where they fit. */
  readonly sizeBytes: number;
  /** A new Cluster begins after so many ticks. */
  readonly clusterTicks: number;
  /** By how much a Cluster's time is later than its first block. */
  readonly lateTicks: number;
  /** Blocks before the Cluster's Timestamp. */
  readonly blocksBeforeTime: number;
  readonly inCluster: readonly ExtraName[];
  readonly afterTime: readonly ExtraName[];
  readonly betweenClusters: readonly ExtraName[];
  readonly betweenBlocks: readonly ExtraName[];
  readonly beforeSegment: readonly ExtraName[];
  readonly inHeader: readonly ExtraName[];
  readonly isInfoLast: boolean;
  readonly repeatsTracks: boolean;
  readonly maxSizeLength: number;
  readonly form: "simple" | "group";
  readonly lacing: "none" | "xiph" | "ebml" | "fixed";
  readonly lacedFrames: number;
  readonly scaleNs: number;
}

const hex = (text: string): Buffer => Buffer.from(text, "hex");

/** Elements that carry no packet. */
const EXTRAS = {
  crc: () => hex("bf8400112233"),
  void: (size: number) => element("ec", Buffer.alloc(40, 0xa3), size),
  emptyVoid: () => hex("ec80"),
  prevSize: (size: number) => element("ab", hex("0123"), size),
  position: (size: number) => element("a7", hex("00"), size),
  silentTracks: (size: number) => element("5854", element("58d7", hex("07"), 1), size),
  encryptedBlock: (size: number) => element("af", hex("81000080dead"), size),
  unknown: (size: number) => element("42aa", Buffer.alloc(9, 0x1f), size),
  tags: (size: number) => element("1254c367", element("7373", Buffer.alloc(3), 1), size),
  cues: (size: number) => element("1c53bb6b", element("bb", Buffer.alloc(5), 1), size),
  chapters: (size: number) => element("1043a770", Buffer.alloc(6), size),
  attachments: (size: number) => element("1941a469", Buffer.alloc(300, 0x55), size),
  seekHead: (size: number) => element("114d9b74", Buffer.alloc(12), size),
} as const;
export type ExtraName = keyof typeof EXTRAS;

/** What may stand in a Cluster; the first of them only in front (RFC 8794, 11.3.1). */
export const CLUSTER_EXTRAS = [
  "crc",
  "void",
  "emptyVoid",
  "prevSize",
  "position",
  "silentTracks",
  "encryptedBlock",
  "unknown",
] as const satisfies readonly ExtraName[];

/** What may stand in a Segment. */
export const SEGMENT_EXTRAS = [
  "void",
  "tags",
  "cues",
  "chapters",
  "attachments",
  "seekHead",
] as const satisfies readonly ExtraName[];

/** A file, and where each Cluster begins in it. */
export interface WrittenMatroska {
  readonly bytes: Buffer<ArrayBuffer>;
  readonly clustersAt: readonly number[];
}

/** As a recorder in a browser writes. */
export const PLAIN_DRESS: Dress = {
  segmentSizeBytes: 8,
  clusterSizeBytes: 8,
  clustersAreSized: false,
  sizeBytes: 1,
  clusterTicks: 1_000,
  lateTicks: 0,
  blocksBeforeTime: 0,
  inCluster: [],
  afterTime: [],
  betweenClusters: [],
  betweenBlocks: [],
  beforeSegment: [],
  inHeader: [],
  isInfoLast: false,
  repeatsTracks: false,
  maxSizeLength: 8,
  form: "simple",
  lacing: "none",
  lacedFrames: 1,
  scaleNs: 1_000_000,
};

/** Track 1 is a picture, track 2 sound; packets are in their order. */
export function writeMatroska(
  packets: readonly WrittenPacket[],
  dress: Dress,
  videoCodec = "V_VP8",
  audioCodec = "A_OPUS",
): WrittenMatroska {
  const extra = (name: ExtraName): Buffer => EXTRAS[name](dress.sizeBytes);
  const info = element("1549a966", element("2ad7b1", number(dress.scaleNs)));
  const tracks = element(
    "1654ae6b",
    Buffer.concat([
      element(
        "ae",
        Buffer.concat([
          element("d7", hex("01")),
          element("83", hex("01")),
          element("86", Buffer.from(videoCodec)),
          element("e0", Buffer.concat([element("b0", hex("0140")), element("ba", hex("b4"))])),
        ]),
      ),
      element(
        "ae",
        Buffer.concat([
          element("d7", hex("02")),
          element("83", hex("02")),
          element("86", Buffer.from(audioCodec)),
          element("63a2", hex("4f707573486561640101380180bb0000000000")),
          element("e1", Buffer.concat([element("b5", hex("473b8000")), element("9f", hex("01"))])),
        ]),
      ),
    ]),
  );
  const header = Buffer.concat([
    element(
      "1a45dfa3",
      Buffer.concat([
        element("4286", hex("01")),
        element("42f2", hex("04")),
        element("42f3", Buffer.of(dress.maxSizeLength)),
        element("4282", Buffer.from("webm")),
        element("4287", hex("04")),
        element("4285", hex("02")),
      ]),
    ),
    ...dress.beforeSegment.map(extra),
    hex("18538067"),
    unknownSize(dress.segmentSizeBytes),
    ...dress.inHeader.map(extra),
    ...(dress.isInfoLast ? [tracks, info] : [info, tracks]),
  ]);
  return writeClusters(packets, dress, header, tracks);
}

/**
 * Clusters behind the header of another file.
 *
 * @param tracks of that header, to be repeated
 */
export function writeClusters(
  packets: readonly WrittenPacket[],
  dress: Dress,
  header: Uint8Array,
  tracks: Buffer = Buffer.alloc(0),
): WrittenMatroska {
  const extra = (name: ExtraName): Buffer => EXTRAS[name](dress.sizeBytes);
  const parts: Uint8Array[] = [header];
  const clustersAt: number[] = [];
  let bytes = header.length;
  const add = (part: Buffer): void => {
    parts.push(part);
    bytes += part.length;
  };
  for (const cluster of clustersOf(packets, dress)) {
    if (clustersAt.length > 0) {
      for (const name of dress.betweenClusters) add(extra(name));
      if (dress.repeatsTracks) add(tracks);
    }
    clustersAt.push(bytes);
    const content = clusterContent(cluster, dress);
    add(
      dress.clustersAreSized
        ? element("1f43b675", content, dress.clusterSizeBytes)
        : Buffer.concat([hex("1f43b675"), unknownSize(dress.clusterSizeBytes), content]),
    );
  }
  return { bytes: Buffer.concat(parts), clustersAt };
}

function* clustersOf(
  packets: readonly WrittenPacket[],
  { clusterTicks }: Dress,
): Generator<WrittenPacket[]> {
  let cluster: WrittenPacket[] = [];
  for (const packet of packets) {
    const [first] = cluster;
    if (first !== undefined && packet.ticks - first.ticks >= clusterTicks) {
      yield cluster;
      cluster = [];
    }
    cluster.push(packet);
  }
  if (cluster.length > 0) yield cluster;
}

function clusterContent(packets: readonly WrittenPacket[], dress: Dress): Buffer {
  const extra = (name: ExtraName): Buffer => EXTRAS[name](dress.sizeBytes);
  const clusterTicks = (packets[0]?.ticks ?? 0) + dress.lateTicks;
  const blocks = blocksOf(packets, dress).map((block) => blockOf(block, clusterTicks, dress));
  const time = element("e7", number(clusterTicks), dress.sizeBytes);
  const early = blocks.slice(0, dress.blocksBeforeTime);
  const between = Buffer.concat(dress.betweenBlocks.map(extra));
  return Buffer.concat([
    ...dress.inCluster.map(extra),
    ...early,
    time,
    ...dress.afterTime.map(extra),
    ...blocks.slice(early.length).map((block) => Buffer.concat([block, between])),
  ]);
}

/** Packets of sound that follow each other are laced. */
function blocksOf(
  packets: readonly WrittenPacket[],
  { lacing, lacedFrames }: Dress,
): WrittenPacket[][] {
  const blocks: WrittenPacket[][] = [];
  for (const packet of packets) {
    const last = blocks.at(-1);
    const first = last?.[0];
    const isLaced =
      lacing !== "none" &&
      packet.track === 2 &&
      first?.track === 2 &&
      last !== undefined &&
      last.length < lacedFrames &&
      (lacing !== "fixed" || first.data.length === packet.data.length);
    if (isLaced) last.push(packet);
    else blocks.push([packet]);
  }
  return blocks;
}

function blockOf(packets: readonly WrittenPacket[], clusterTicks: number, dress: Dress): Buffer {
  const [first] = packets;
  if (first === undefined) throw new RangeError("A block has a packet.");
  const isLaced = packets.length > 1;
  const laceFlags = { none: 0, xiph: 2, fixed: 4, ebml: 6 }[isLaced ? dress.lacing : "none"];
  const head = Buffer.alloc(4);
  head[0] = 0x80 | first.track;
  // Times that are too far from their Cluster's run over, as they do in files that are found.
  head.writeInt16BE((((first.ticks - clusterTicks) << 16) >> 16) | 0, 1);
  const isKey = packets.every((packet) => packet.isKey);
  head[3] = laceFlags | (dress.form === "simple" && isKey ? 0x80 : 0);
  const content = Buffer.concat([
    head,
    ...(isLaced ? [laceHead(packets, dress.lacing)] : []),
    ...packets.map(({ data }) => data),
  ]);
  if (dress.form === "simple") return element("a3", content, dress.sizeBytes);
  return element(
    "a0",
    Buffer.concat([
      element("a1", content, dress.sizeBytes),
      ...(isKey ? [] : [element("fb", hex("ff"), dress.sizeBytes)]),
    ]),
    dress.sizeBytes,
  );
}

function laceHead(packets: readonly WrittenPacket[], lacing: Dress["lacing"]): Buffer {
  const sizes = packets.slice(0, -1).map(({ data }) => data.length);
  const count = Buffer.of(packets.length - 1);
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
      const before = sizes[i - 1];
      if (before === undefined) return sizeOf(size, 1);
      // Two bytes for each difference: 13 bits with a sign.
      const value = Buffer.alloc(2);
      value.writeUInt16BE(0x4000 | (size - before + 0x1fff));
      return value;
    }),
  ]);
}

/** @param sizeBytes of its size; more are taken where they are too few */
export function element(id: string, content: Uint8Array, sizeBytes = 1): Buffer {
  return Buffer.concat([hex(id), sizeOf(content.length, sizeBytes), content]);
}

function sizeOf(value: number, bytesMin: number): Buffer {
  let bytes = bytesMin;
  while (value >= 2 ** (7 * bytes) - 1) bytes += 1;
  const size = Buffer.alloc(8);
  size.writeBigUInt64BE(BigInt(value) | (1n << BigInt(7 * bytes)));
  return size.subarray(8 - bytes);
}

function unknownSize(bytes: number): Buffer {
  const size = Buffer.alloc(bytes, 0xff);
  size[0] = 0xff >> (bytes - 1);
  return size;
}

function number(value: number): Buffer {
  const data = Buffer.alloc(8);
  data.writeBigUInt64BE(BigInt(value));
  return data;
}

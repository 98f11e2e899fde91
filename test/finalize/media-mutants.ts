import { boxAt } from "../../src/finalize/mp4-boxes.ts";
import { readEbmlHeader } from "../../src/finalize/ebml.ts";
import {
  RECORDED_NAMES,
  type RecordedName,
  badMedia,
  joinChunks,
  recordedSegment,
} from "../support/recorded-media.ts";
import { SeededRandom } from "../faults/support/seeded-random.ts";

/** A segment that mutants are made of. */
export interface MutantSource {
  readonly name: string;
  readonly mimeType: string;
  readonly chunks: readonly Uint8Array[];
  /** Broken before it is mutated. */
  readonly isBad: boolean;
}

/** A segment that no recorder made; undefined chunks are never sent. */
export interface Mutant {
  /** What was done to what. */
  readonly name: string;
  readonly mimeType: string;
  readonly chunks: readonly (Uint8Array | undefined)[];
}

/** Two to three seconds are enough for every kind of damage, and ten thousand stay affordable. */
const SOURCE_CHUNKS = 3;

/** Most of the broken files hold little more than a header: whole recordings give more to break. */
const BAD_SHARE = 0.2;

/** Recordings that are left out, so that their bytes can show up in no mutant. */
export async function mutantSources(omitted: readonly RecordedName[]): Promise<MutantSource[]> {
  const names = RECORDED_NAMES.filter((name) => !omitted.includes(name));
  const recorded = names.map(async (name) => {
    const { mimeType, chunks } = await recordedSegment(name);
    const payloads = chunks.slice(0, SOURCE_CHUNKS).map(({ payload }) => payload);
    return { name, mimeType, chunks: payloads, isBad: false };
  });
  const bad = (await badMedia()).map(({ name, bytes }) => ({
    name,
    mimeType: "video/webm",
    chunks: [bytes],
    isBad: true,
  }));
  return [...(await Promise.all(recorded)), ...bad];
}

/** Makes the mutant of a seed: the same sources and the same seed give the same one. */
export function mutantOf(seed: number, sources: readonly MutantSource[]): Mutant {
  const random = new SeededRandom(seed);
  const isBad = random.chance(BAD_SHARE);
  const source = random.pick(sources.filter((candidate) => candidate.isBad === isBad));
  let bytes: Uint8Array<ArrayBuffer> = joinChunks(
    source.chunks.map((chunk) => ({ payload: new Uint8Array(chunk) })),
  );
  const signature = bytes.slice(0, SIGNATURE_BYTES);
  const done: string[] = [];
  const steps = 1 + random.int(0, 3);
  for (let step = 0; step < steps; step += 1) {
    const [name, mutate] = random.pick(BYTE_MUTATIONS);
    bytes = mutate(bytes, random, sources);
    done.push(name);
  }
  // What has no container's signature is refused before it is stored: that is not what is tried here.
  if (bytes.length > SIGNATURE_BYTES && random.chance(0.95)) bytes.set(signature);
  let chunks: (Uint8Array | undefined)[] = cut(bytes, source.chunks, random);
  let { mimeType } = source;
  if (random.chance(0.15)) {
    const [name, mutate] = random.pick(CHUNK_MUTATIONS);
    chunks = mutate(chunks, random);
    done.push(name);
  }
  if (random.chance(0.05)) {
    // The bytes stay as they are: the type is what lies.
    mimeType = random.pick(["video/mp4", "video/webm", "audio/webm", "video/x-matroska", ""]);
    done.push(`as ${mimeType || "nothing"}`);
  }
  return { name: `${source.name}: ${done.join(", ")}`, mimeType, chunks };
}

const SIGNATURE_BYTES = 8;
const RANGE_BYTES_MAX = 20_000;
const RUN_BYTES_MAX = 4_096;

type ByteMutation = (
  bytes: Uint8Array<ArrayBuffer>,
  random: SeededRandom,
  sources: readonly MutantSource[],
) => Uint8Array<ArrayBuffer>;

const BYTE_MUTATIONS: readonly (readonly [name: string, mutate: ByteMutation])[] = [
  ["bits flipped", flipBits],
  ["bits flipped at the beginning", flipBitsAtTheBeginning],
  ["run of bytes", fillRun],
  ["cut off", (bytes, random) => bytes.slice(0, indexIn(bytes, random))],
  ["range removed", removeRange],
  ["range doubled", doubleRange],
  ["ranges swapped", swapRanges],
  ["size field", changeElementSize],
  ["number in a box", changeBoxNumber],
  ["spliced", splice],
];

function flipBits(bytes: Uint8Array<ArrayBuffer>, random: SeededRandom): Uint8Array<ArrayBuffer> {
  for (let left = smallLength(random, 64); left > 0; left -= 1)
    flipBit(bytes, bytes.length, random);
  return bytes;
}

/** Headers are a small part of a file, and the part that a reader believes. */
function flipBitsAtTheBeginning(
  bytes: Uint8Array<ArrayBuffer>,
  random: SeededRandom,
): Uint8Array<ArrayBuffer> {
  const end = Math.min(bytes.length, 600);
  for (let left = smallLength(random, 16); left > 0; left -= 1) flipBit(bytes, end, random);
  return bytes;
}

function flipBit(bytes: Uint8Array, end: number, random: SeededRandom): void {
  const at = random.int(0, Math.max(0, end - 1));
  bytes[at] = (bytes[at] ?? 0) ^ (1 << random.int(0, 7));
}

function fillRun(bytes: Uint8Array<ArrayBuffer>, random: SeededRandom): Uint8Array<ArrayBuffer> {
  const { from, to } = rangeIn(bytes, RUN_BYTES_MAX, random);
  const isRandom = random.chance(0.4);
  const value = random.pick([0x00, 0xff]);
  for (let at = from; at < to; at += 1) bytes[at] = isRandom ? random.int(0, 255) : value;
  return bytes;
}

function removeRange(
  bytes: Uint8Array<ArrayBuffer>,
  random: SeededRandom,
): Uint8Array<ArrayBuffer> {
  const { from, to } = rangeIn(bytes, RANGE_BYTES_MAX, random);
  return joined(bytes.subarray(0, from), bytes.subarray(to));
}

function doubleRange(
  bytes: Uint8Array<ArrayBuffer>,
  random: SeededRandom,
): Uint8Array<ArrayBuffer> {
  const { from, to } = rangeIn(bytes, RANGE_BYTES_MAX, random);
  const at = indexIn(bytes, random);
  return joined(bytes.subarray(0, at), bytes.subarray(from, to), bytes.subarray(at));
}

function swapRanges(bytes: Uint8Array<ArrayBuffer>, random: SeededRandom): Uint8Array<ArrayBuffer> {
  const [a = 0, b = 0, c = 0, d = 0] = Array.from({ length: 4 }, () =>
    indexIn(bytes, random),
  ).toSorted((one, other) => one - other);
  return joined(
    bytes.subarray(0, a),
    bytes.subarray(c, d),
    bytes.subarray(b, c),
    bytes.subarray(a, b),
    bytes.subarray(d),
  );
}

/** Lets an element of a Matroska stream claim another size; other bytes get a run instead. */
function changeElementSize(
  bytes: Uint8Array<ArrayBuffer>,
  random: SeededRandom,
): Uint8Array<ArrayBuffer> {
  const elements = elementsIn(bytes);
  if (elements.length === 0) return fillRun(bytes, random);
  const { sizeFrom, sizeTo } = random.pick(elements);
  const first = bytes[sizeFrom] ?? 0;
  const marker = 1 << (31 - Math.clz32(first));
  const kind = random.int(0, 4);
  for (let at = sizeFrom; at < sizeTo; at += 1) {
    const value =
      [0x00, 0xff, random.int(0, 255), random.int(0, 1), (bytes[at] ?? 0) + 1][kind] ?? 0;
    // The marker stays, so that it is the size that changes and not the length of its field.
    bytes[at] = at === sizeFrom ? marker | (value & (marker - 1)) : value;
  }
  return bytes;
}

/** Where size fields of elements lie, those inside of other elements included. */
function elementsIn(bytes: Uint8Array): { readonly sizeFrom: number; readonly sizeTo: number }[] {
  const found: { sizeFrom: number; sizeTo: number }[] = [];
  for (let at = 0; at < bytes.length;) {
    const header = readEbmlHeader(bytes, at);
    if (header === "short") break;
    if (header === "invalid") {
      at += 1;
      continue;
    }
    const idBytes = Math.clz32(bytes[at] ?? 0) - 23;
    found.push({ sizeFrom: at + idBytes, sizeTo: at + header.headerBytes });
    const isMaster = header.dataBytes === undefined || MASTER_IDS.has(header.id);
    at += header.headerBytes + (isMaster ? 0 : (header.dataBytes ?? 0));
  }
  return found;
}

/** EBML, Segment, SeekHead, Info, Tracks, TrackEntry, Video, Audio, Cluster, BlockGroup, Cues. */
const MASTER_IDS: ReadonlySet<number> = new Set([
  0x1a45dfa3, 0x18538067, 0x114d9b74, 0x1549a966, 0x1654ae6b, 0xae, 0xe0, 0xe1, 0x1f43b675, 0xa0,
  0x1c53bb6b,
]);

const BOX_NUMBERS = [0, 1, 2, 0x7f, 0xffff, 0x01000000, 0x7fffffff, 0x80000000, 0xffffffff];

/** Sets a number in the index of an MP4, which counts, places and lengths are; else fills a run. */
function changeBoxNumber(
  bytes: Uint8Array<ArrayBuffer>,
  random: SeededRandom,
): Uint8Array<ArrayBuffer> {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const indexes: { from: number; to: number }[] = [];
  for (let at = 0; at < buffer.length;) {
    const box = boxAt(buffer, at, buffer.length - at);
    if (box === undefined) break;
    if (box.type === "moov" || box.type === "moof") indexes.push({ from: at, to: at + box.size });
    at += box.size;
  }
  if (indexes.length === 0) return fillRun(bytes, random);
  const { from, to } = random.pick(indexes);
  const at = from + random.int(0, Math.max(0, Math.min(to, buffer.length) - from - 5));
  if (at + 4 <= buffer.length) buffer.writeUInt32BE(random.pick(BOX_NUMBERS), at);
  return bytes;
}

function splice(
  bytes: Uint8Array<ArrayBuffer>,
  random: SeededRandom,
  sources: readonly MutantSource[],
): Uint8Array<ArrayBuffer> {
  const other = Buffer.concat(random.pick(sources).chunks);
  return joined(bytes.subarray(0, indexIn(bytes, random)), other.subarray(indexIn(other, random)));
}

type ChunkMutation = (
  chunks: (Uint8Array | undefined)[],
  random: SeededRandom,
) => (Uint8Array | undefined)[];

const CHUNK_MUTATIONS: readonly (readonly [name: string, mutate: ChunkMutation])[] = [
  [
    "a chunk never sent",
    (chunks, random) => {
      const left = random.int(0, chunks.length - 1);
      return chunks.map((chunk, i) => (i === left ? undefined : chunk));
    },
  ],
  ["chunks in another order", ([first, ...others]) => [first, ...others.toReversed()]],
  ["a chunk twice", (chunks, random) => [...chunks, random.pick(chunks.map((chunk) => chunk))]],
  [
    "one byte first",
    ([first, ...others]) => [first?.subarray(0, 1), first?.subarray(1), ...others],
  ],
];

/** Cuts where the recorder did, in proportion; one time of five anywhere. */
function cut(
  bytes: Uint8Array<ArrayBuffer>,
  like: readonly Uint8Array[],
  random: SeededRandom,
): Uint8Array[] {
  const total = like.reduce((sum, { length }) => sum + length, 0);
  const isAnywhere = random.chance(0.2);
  let sum = 0;
  const ends = like.slice(0, -1).map(({ length }) => {
    sum += length;
    return isAnywhere ? indexIn(bytes, random) : Math.round((sum / total) * bytes.length);
  });
  const borders = [0, ...ends.toSorted((a, b) => a - b), bytes.length];
  return borders.slice(1).map((to, i) => bytes.subarray(borders[i], to));
}

/** Where a byte stands; 0 when there is none. */
function indexIn(bytes: Uint8Array, random: SeededRandom): number {
  return random.int(0, Math.max(0, bytes.length - 1));
}

/** Most often small, now and then up to `max`. */
function smallLength(random: SeededRandom, max: number): number {
  const share = random.int(1, 1_000) / 1_000;
  return Math.ceil(share ** 4 * max);
}

function rangeIn(
  bytes: Uint8Array,
  bytesMax: number,
  random: SeededRandom,
): { readonly from: number; readonly to: number } {
  const from = indexIn(bytes, random);
  return { from, to: Math.min(bytes.length, from + smallLength(random, bytesMax)) };
}

function joined(...parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  return new Uint8Array(Buffer.concat(parts));
}

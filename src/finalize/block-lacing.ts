import { readVint } from "./ebml.ts";

/** How the frames of a block are divided (RFC 9559, section 10.3): the two bits of its flags. */
export const LACING_MASK = 0x06;

const LACING = { xiph: 0x02, fixed: 0x04, ebml: 0x06 } as const;

/** Where a frame is in what holds it. */
export interface FramePlace {
  readonly from: number;
  /** Exclusive. */
  readonly to: number;
}

/**
 * The frames of a laced block, those of no bytes too; undefined when their sizes do not fit in it.
 *
 * @param flags of the block, with lacing
 * @param from where its content begins, with the number of frames
 * @param to exclusive
 */
export function lacedFrames(
  bytes: Uint8Array,
  flags: number,
  from: number,
  to: number,
): FramePlace[] | undefined {
  if (from >= to) return undefined;
  const count = (bytes[from] ?? 0) + 1;
  const lacing = flags & LACING_MASK;
  if (lacing === LACING.fixed) {
    const size = (to - from - 1) / count;
    return Number.isInteger(size) ? placesOf(Array(count).fill(size), from + 1, to) : undefined;
  }
  const read = lacing === LACING.xiph ? xiphSizes : ebmlSizes;
  const sizes = read(bytes, from + 1, to, count - 1);
  if (sizes === undefined) return undefined;
  // The last frame has what is left.
  const left = to - sizes.at - sizes.all.reduce((sum, size) => sum + size, 0);
  return left < 0 ? undefined : placesOf([...sizes.all, left], sizes.at, to);
}

interface Sizes {
  readonly all: readonly number[];
  /** Where the first frame begins. */
  readonly at: number;
}

function xiphSizes(bytes: Uint8Array, from: number, to: number, count: number): Sizes | undefined {
  const all: number[] = [];
  let at = from;
  while (all.length < count) {
    let size = 0;
    let byte = 0xff;
    while (byte === 0xff) {
      if (at >= to) return undefined;
      byte = bytes[at] ?? 0;
      size += byte;
      at += 1;
    }
    all.push(size);
  }
  return { all, at };
}

/** The first as it is, each other by how much it differs from the one before. */
function ebmlSizes(bytes: Uint8Array, from: number, to: number, count: number): Sizes | undefined {
  const all: number[] = [];
  let at = from;
  let size = 0;
  while (all.length < count) {
    const number = readVint(bytes, at);
    if (number === undefined || at + number.length > to) return undefined;
    size =
      all.length === 0 ? number.value : size + number.value - (2 ** (7 * number.length - 1) - 1);
    if (size < 0 || size > to - at) return undefined;
    all.push(size);
    at += number.length;
  }
  return { all, at };
}

function placesOf(sizes: readonly number[], from: number, to: number): FramePlace[] | undefined {
  const places: FramePlace[] = [];
  let at = from;
  for (const size of sizes) {
    places.push({ from: at, to: at + size });
    at += size;
  }
  return at === to ? places : undefined;
}

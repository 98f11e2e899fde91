/** What a raw data block of AAC is made of, in order (ISO/IEC 14496-3, 4.4.2.1). */
export interface AacElement {
  /** One channel, a pair of them, or the one of low frequencies. */
  readonly kind: "single" | "pair" | "low";
  /** Tells elements of a kind apart. */
  readonly tag: number;
}

/** What an AudioSpecificConfig sets a decoder up for. */
export interface AacConfig {
  /** Such as 2 for AAC-LC (14496-3, table 1.17). */
  readonly objectType: number;
  /** Of each channel in a packet, at the rate of the core. */
  readonly packetSamples: number;
  /** Undefined where it is said neither by a number nor by a list. */
  readonly elements: readonly AacElement[] | undefined;
  /** 0 where it is not known. */
  readonly channels: number;
  /** Says that packets have an extension (SBR, PS), from which a decoder makes twice the samples. */
  readonly isExtended: boolean;
}

const SINGLE_0: AacElement = { kind: "single", tag: 0 };
const SINGLE_1: AacElement = { kind: "single", tag: 1 };
const PAIR_0: AacElement = { kind: "pair", tag: 0 };
const PAIR_1: AacElement = { kind: "pair", tag: 1 };
const PAIR_2: AacElement = { kind: "pair", tag: 2 };
const LOW: AacElement = { kind: "low", tag: 0 };

/** By `channelConfiguration` (14496-3, table 1.19). */
const ELEMENTS: ReadonlyMap<number, readonly AacElement[]> = new Map([
  [1, [SINGLE_0]],
  [2, [PAIR_0]],
  [3, [SINGLE_0, PAIR_0]],
  [4, [SINGLE_0, PAIR_0, SINGLE_1]],
  [5, [SINGLE_0, PAIR_0, PAIR_1]],
  [6, [SINGLE_0, PAIR_0, PAIR_1, LOW]],
  [7, [SINGLE_0, PAIR_0, PAIR_1, PAIR_2, LOW]],
  [11, [SINGLE_0, PAIR_0, PAIR_1, SINGLE_1, LOW]],
  [12, [SINGLE_0, PAIR_0, PAIR_1, PAIR_2, LOW]],
  [14, [SINGLE_0, PAIR_0, PAIR_1, LOW, PAIR_2]],
]);

const SBR = 5;
const PS = 29;
/** Those whose decoder's parameters are a GASpecificConfig (14496-3, table 1.15). */
const GENERAL_AUDIO: ReadonlySet<number> = new Set([1, 2, 3, 4, 6, 7, 17, 19, 20, 21, 22, 23]);

const EXPLICIT_FREQUENCY = 15;
const ESCAPED_OBJECT_TYPE = 31;
/** Announces an extension behind the parameters of the core, for decoders that know of it. */
const SYNC_EXTENSION = 0x2b7;
const SYNC_EXTENSION_BITS = 11;

/**
 * Reads an AudioSpecificConfig (ISO/IEC 14496-3, 1.6.2.1), which alone says how many channels AAC has:
 * muxers write 2 into an MP4's sample entry for one channel too. Undefined when it is none.
 */
export function aacConfig(bytes: Uint8Array): AacConfig | undefined {
  const bits = new BitReader(bytes);
  let objectType = readObjectType(bits);
  skipFrequency(bits);
  const configuration = bits.read(4);
  let isExtended = objectType === SBR || objectType === PS;
  if (isExtended) {
    skipFrequency(bits);
    objectType = readObjectType(bits);
  }
  if (!GENERAL_AUDIO.has(objectType)) return undefined;
  const packetSamples = bits.read(1) === 1 ? 960 : 1_024;
  // `dependsOnCoreCoder` with its delay.
  if (bits.read(1) === 1) bits.read(14);
  const hasMore = bits.read(1) === 1;
  const elements = configuration === 0 ? readElements(bits) : ELEMENTS.get(configuration);
  if (bits.isOver) return undefined;
  if (!hasMore && bits.left >= SYNC_EXTENSION_BITS + 6) {
    const isAnnounced = bits.read(SYNC_EXTENSION_BITS) === SYNC_EXTENSION;
    if (isAnnounced && readObjectType(bits) === SBR) isExtended ||= bits.read(1) === 1;
  }
  const channels = (elements ?? []).reduce((sum, { kind }) => sum + (kind === "pair" ? 2 : 1), 0);
  return { objectType, packetSamples, elements, channels, isExtended };
}

function readObjectType(bits: BitReader): number {
  const type = bits.read(5);
  return type === ESCAPED_OBJECT_TYPE ? 32 + bits.read(6) : type;
}

function skipFrequency(bits: BitReader): void {
  if (bits.read(4) === EXPLICIT_FREQUENCY) bits.read(24);
}

/** The list of elements in a `program_config_element` (14496-3, 4.4.1.1, table 4.2). */
function readElements(bits: BitReader): readonly AacElement[] {
  // Its own tag, the object type and the rate.
  bits.read(4 + 2 + 4);
  const full = bits.read(4) + bits.read(4) + bits.read(4);
  const low = bits.read(2);
  // Associated data and coupling channels have nothing of their own to be heard.
  bits.read(3 + 4);
  for (const mixdownBits of [4, 4, 3]) if (bits.read(1) === 1) bits.read(mixdownBits);
  const elements: AacElement[] = [];
  for (let i = 0; i < full; i += 1) {
    elements.push({ kind: bits.read(1) === 1 ? "pair" : "single", tag: bits.read(4) });
  }
  for (let i = 0; i < low; i += 1) elements.push({ kind: "low", tag: bits.read(4) });
  return elements;
}

/** Reads numbers of up to 24 bits, the highest first; zeros behind the end. */
class BitReader {
  readonly #bytes: Uint8Array;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  /** Bits that were not read. */
  get left(): number {
    return this.#bytes.length * 8 - this.#at;
  }

  /** Whether more was read than there is. */
  get isOver(): boolean {
    return this.left < 0;
  }

  read(count: number): number {
    let value = 0;
    for (let left = count; left > 0; left -= 1) {
      const byte = this.#bytes[this.#at >> 3] ?? 0;
      value = (value << 1) | ((byte >> (7 - (this.#at & 7))) & 1);
      this.#at += 1;
    }
    return value;
  }
}

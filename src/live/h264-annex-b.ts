// ITU-T H.264: NAL units of a byte stream are separated by start codes (annex B), in MP4 they have
// their length in front (ISO/IEC 14496-15, 5.3). Chromium records the former into Matroska.

const UNIT_TYPE_MASK = 0x1f;
const SEQUENCE_PARAMETERS = 7;
const PICTURE_PARAMETERS = 8;
/** Their length has 16 bits in a configuration. */
const PARAMETERS_BYTES_MAX = 0xffff;

/** Profiles whose configuration tells chroma and depth too (ISO/IEC 14496-15, 5.3.3.1.2). */
const HIGH_PROFILES: ReadonlySet<number> = new Set([100, 110, 122, 144]);

/** The NAL units of a byte stream, without their start codes; none when it begins with no such code. */
export function unitsOf(bytes: Uint8Array): Uint8Array[] {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  const units: Uint8Array[] = [];
  const code = Buffer.of(0, 0, 1);
  for (let at = buffer.indexOf(code); at !== -1;) {
    const from = at + code.length;
    const next = buffer.indexOf(code, from);
    let to = next === -1 ? buffer.length : next;
    // Zeros before a start code belong to it, or fill up (B.1); a unit itself never ends with one.
    while (to > from && buffer[to - 1] === 0) to -= 1;
    if (to > from) units.push(buffer.subarray(from, to));
    at = next;
  }
  return units;
}

/** A picture of a byte stream as MP4 has it: each unit behind its length in four bytes. */
export function withUnitLengths(bytes: Uint8Array): Uint8Array {
  return Buffer.concat(
    unitsOf(bytes).flatMap((unit) => {
      const length = Buffer.alloc(4);
      length.writeUInt32BE(unit.length);
      return [length, unit];
    }),
  );
}

/** The `avcC` that a key frame of a byte stream tells; undefined when it lacks its parameters. */
export function configurationOf(keyFrame: Uint8Array): Uint8Array | undefined {
  const units = unitsOf(keyFrame);
  const ofType = (type: number) =>
    units.find(
      (unit) => ((unit[0] ?? 0) & UNIT_TYPE_MASK) === type && unit.length <= PARAMETERS_BYTES_MAX,
    );
  const sequence = ofType(SEQUENCE_PARAMETERS);
  const picture = ofType(PICTURE_PARAMETERS);
  if (sequence === undefined || sequence.length < 4 || picture === undefined) return undefined;
  const [, profile = 0, constraints = 0, level = 0] = sequence;
  return Buffer.concat([
    Buffer.of(1, profile, constraints, level, 0xff, 0xe1),
    lengthOf(sequence),
    sequence,
    Buffer.of(1),
    lengthOf(picture),
    picture,
    // 4:2:0 with 8 bits, as every recorder in a browser gives it.
    HIGH_PROFILES.has(profile) ? Buffer.of(0xfd, 0xf8, 0xf8, 0) : Buffer.alloc(0),
  ]);
}

function lengthOf(unit: Uint8Array): Buffer {
  const length = Buffer.alloc(2);
  length.writeUInt16BE(unit.length);
  return length;
}

/** A box of an MP4 in memory. */
interface Box {
  readonly type: string;
  /** Of its first byte behind size and type. */
  readonly begin: number;
  readonly end: number;
}

const PARENTS: ReadonlySet<string> = new Set(["moov", "trak", "edts", "mdia", "moof", "traf"]);

/** All boxes, those that hold others before these. */
export function* boxesOf(bytes: Buffer, from: number, to: number): Generator<Box> {
  for (let at = from; at + 8 <= to;) {
    const size = bytes.readUInt32BE(at);
    const type = bytes.toString("latin1", at + 4, at + 8);
    const end = size < 8 ? to : at + size;
    yield { type, begin: at + 8, end };
    if (PARENTS.has(type)) yield* boxesOf(bytes, at + 8, end);
    at = end;
  }
}

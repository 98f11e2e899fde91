/** The header of a box (ISO/IEC 14496-12, 4.2). */
export interface BoxHeader {
  readonly type: string;
  readonly headerBytes: number;
  /** With its header. */
  readonly size: number;
}

/**
 * The header at `at`; undefined when there is none.
 *
 * @param available bytes from `at` to the end of what holds the box
 */
export function boxAt(bytes: Buffer, at: number, available: number): BoxHeader | undefined {
  if (at + 8 > bytes.length) return undefined;
  const size32 = bytes.readUInt32BE(at);
  const type = bytes.toString("latin1", at + 4, at + 8);
  let box: BoxHeader = { type, headerBytes: 8, size: size32 === 0 ? available : size32 };
  if (size32 === 1) {
    if (at + 16 > bytes.length) return undefined;
    box = { type, headerBytes: 16, size: Number(bytes.readBigUInt64BE(at + 8)) };
  }
  return box.size < box.headerBytes ? undefined : box;
}

/** Contents of the boxes directly inside `bytes`, by type and in order. They share its memory. */
export function boxesIn(bytes: Buffer): Map<string, Buffer[]> {
  const found = new Map<string, Buffer[]>();
  for (let at = 0; at < bytes.length;) {
    const box = boxAt(bytes, at, bytes.length - at);
    if (box === undefined || at + box.size > bytes.length) return found;
    const data = bytes.subarray(at + box.headerBytes, at + box.size);
    const ofType = found.get(box.type);
    if (ofType === undefined) found.set(box.type, [data]);
    else ofType.push(data);
    at += box.size;
  }
  return found;
}

/** The box at the end of a path of types; empty when it is not there. */
export function descend(bytes: Buffer, ...types: string[]): Buffer {
  let at = bytes;
  for (const type of types) at = boxesIn(at).get(type)?.[0] ?? Buffer.alloc(0);
  return at;
}

/** Bytes of a file, both ends included. */
export interface ByteRange {
  readonly fromByte: number;
  readonly toByte: number;
}

/** What a request asks of a file. */
export type RangeRequest =
  | { readonly kind: "whole" }
  | { readonly kind: "part"; readonly range: ByteRange }
  | { readonly kind: "unsatisfiable" };

const SINGLE_RANGE = /^bytes=(?:(\d+)-(\d*)|-(\d+))$/i;

/**
 * Reads a Range header (RFC 9110, 14.1.2). What is malformed, or asks for several ranges, counts as
 * asking for the whole file, as 14.2 allows.
 */
export function parseRange(header: string | null, fileBytes: number): RangeRequest {
  const match = SINGLE_RANGE.exec(header?.replaceAll(/[ \t]/g, "") ?? "");
  if (match === null) return { kind: "whole" };
  const [, first, last, suffix] = match;
  if (suffix !== undefined) {
    const suffixBytes = Number(suffix);
    if (suffixBytes === 0 || fileBytes === 0) return { kind: "unsatisfiable" };
    return {
      kind: "part",
      range: { fromByte: Math.max(0, fileBytes - suffixBytes), toByte: fileBytes - 1 },
    };
  }
  const fromByte = Number(first);
  const toByte = last === "" ? Number.POSITIVE_INFINITY : Number(last);
  if (toByte < fromByte) return { kind: "whole" };
  if (fromByte >= fileBytes) return { kind: "unsatisfiable" };
  return { kind: "part", range: { fromByte, toByte: Math.min(toByte, fileBytes - 1) } };
}

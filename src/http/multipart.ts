import { InvalidRequestError, UnreadableBodyError } from "./request-errors.ts";

/** A part of a multipart body. */
export interface FormPart {
  /** Whether it has a file name, which is what makes it a file. */
  readonly isFile: boolean;
  /** A view into the body: nothing is copied. */
  readonly bytes: Uint8Array;
}

/** The parts of a multipart body by name; those that share a name in the order of the body. */
export type RequestForm = ReadonlyMap<string, readonly FormPart[]>;

/** Most parts of one body: 256 chunks with a hash, a time and marks each, the fields, and some to spare. */
const PARTS_MAX = 1_280;

/** Longest header block of one part; browsers write some 150 bytes and the name of the file. */
const PART_HEADER_BYTES_MAX = 4_096;

const CRLF = "\r\n";
const HEADERS_END = Buffer.from("\r\n\r\n");
const [SPACE, TAB, CR, LF, DASH] = [0x20, 0x09, 0x0d, 0x0a, 0x2d];

/**
 * The boundary that a multipart Content-Type names; undefined when it names none. Quoted or not, 1 to
 * 70 characters (RFC 2046, 5.1.1).
 */
export function boundaryOf(contentType: string): string | undefined {
  const [, quoted, plain] = /;\s*boundary=(?:"([^"]*)"|([^\s;"]+))/i.exec(contentType) ?? [];
  const boundary = quoted ?? plain ?? "";
  // oxlint-disable-next-line no-control-regex -- a boundary holds no control characters
  return /^[^\u0000-\u001f\u007f-\uffff]{0,69}[^\u0000- \u007f-\uffff]$/.test(boundary)
    ? boundary
    : undefined;
}

/**
 * Takes a multipart/form-data body apart (RFC 7578) without copying it: `Request.formData()` copies
 * each file twice, which costs as much as its SHA-256. What stands before the first boundary and
 * after the last is ignored (RFC 2046, 5.1.1).
 *
 * @throws UnreadableBodyError when the body is cut off or broken; InvalidRequestError when it has too
 * many parts
 */
export function parseMultipart(body: Uint8Array, boundary: string): RequestForm {
  const buffer = Buffer.from(body.buffer, body.byteOffset, body.byteLength);
  const delimiter = Buffer.from(`${CRLF}--${boundary}`, "latin1");
  const form = new Map<string, FormPart[]>();
  let partCount = 0;
  let at = afterFirstBoundary(buffer, delimiter);
  while (!isLastBoundary(buffer, at)) {
    const headersStart = afterBoundaryLine(buffer, at);
    const headersEnd = endOfHeaders(buffer, headersStart);
    const { name, isFile } = dispositionOf(buffer, headersStart, headersEnd);
    const start = headersEnd + HEADERS_END.length;
    const end = buffer.indexOf(delimiter, start);
    if (end < 0)
      throw new UnreadableBodyError("The multipart body is cut off: its end is missing.");
    partCount += 1;
    if (partCount > PARTS_MAX) {
      throw new InvalidRequestError(`The multipart body has more than ${PARTS_MAX} parts.`);
    }
    const part = { isFile, bytes: body.subarray(start, end) };
    const namesakes = form.get(name);
    if (namesakes === undefined) form.set(name, [part]);
    else namesakes.push(part);
    at = end + delimiter.length;
  }
  return form;
}

/** Where the first boundary ends; it stands at the very beginning or after a preamble. */
function afterFirstBoundary(buffer: Buffer, delimiter: Buffer): number {
  const dashes = delimiter.subarray(CRLF.length);
  if (buffer.subarray(0, dashes.length).equals(dashes)) return dashes.length;
  const found = buffer.indexOf(delimiter);
  if (found < 0) throw new UnreadableBodyError("The multipart body does not have its boundary.");
  return found + delimiter.length;
}

/** Whether the boundary that ends at `at` is the last one. */
function isLastBoundary(buffer: Buffer, at: number): boolean {
  return buffer[at] === DASH && buffer[at + 1] === DASH;
}

/** Where the line of the boundary that ends at `at` is over; mail systems may have padded it. */
function afterBoundaryLine(buffer: Buffer, at: number): number {
  let end = at;
  while (buffer[end] === SPACE || buffer[end] === TAB) end += 1;
  if (buffer[end] !== CR || buffer[end + 1] !== LF) {
    throw new UnreadableBodyError("The multipart body is broken: a boundary goes on.");
  }
  return end + CRLF.length;
}

/** Where the CRLF begins that ends the last of a part's headers; the empty line follows it. */
function endOfHeaders(buffer: Buffer, start: number): number {
  // Without any headers that is the CRLF of the boundary's line.
  const from = start - CRLF.length;
  const end = buffer.indexOf(HEADERS_END, from);
  if (end < 0 || end - from > PART_HEADER_BYTES_MAX) {
    throw new UnreadableBodyError(
      "The multipart body is broken: the headers of a part do not end.",
    );
  }
  return end;
}

/** How browsers write it: nearly all parts are told apart by this alone. */
const USUAL_DISPOSITION =
  /^Content-Disposition: form-data; name="([^"%\\]*)"(; filename="[^"\\]*")?(?=\r\n|$)/;

const DISPOSITION = /^content-disposition:[ \t]*form-data(?=[ \t]*(?:;|$))/i;

// Quotes within quotes: browsers write %22 for one, others a backslash before it.
const PARAMETER = /[ \t]*;[ \t]*([^\s=;"]+)=(?:"((?:\\"|[^"])*)"|([^\s;"]*))/y;

/** What the Content-Disposition of a part says. */
function dispositionOf(
  buffer: Buffer,
  start: number,
  end: number,
): { name: string; isFile: boolean } {
  const headers = buffer.toString("utf8", start, end);
  const usual = USUAL_DISPOSITION.exec(headers);
  if (usual?.[1] !== undefined) return { name: usual[1], isFile: usual[2] !== undefined };
  let name: string | undefined;
  let isFile = false;
  for (const line of headers.split(CRLF)) {
    const disposition = DISPOSITION.exec(line)?.[0];
    if (disposition === undefined) continue;
    PARAMETER.lastIndex = disposition.length;
    for (let found = PARAMETER.exec(line); found !== null; found = PARAMETER.exec(line)) {
      const parameter = found[1]?.toLowerCase();
      if (parameter === "name") name = unescaped(found[2] ?? found[3] ?? "");
      if (parameter === "filename" || parameter === "filename*") isFile = true;
    }
  }
  if (name === undefined) {
    throw new UnreadableBodyError("The multipart body is broken: a part has no name.");
  }
  return { name, isFile };
}

/** Undoes what browsers do to names (HTML, "multipart/form-data encoding algorithm"). */
function unescaped(name: string): string {
  return name.replace(/%22|%0D|%0A/gi, (escaped) => decodeURIComponent(escaped));
}

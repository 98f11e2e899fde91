/** Most arrays and objects within each other in the JSON of a request, its outermost included. */
export const JSON_DEPTH_MAX = 32;

/**
 * Most opening brackets, commas and quotation marks in the JSON of a request. Each is a byte, so only
 * bodies that may be large because they hold a chunk can have more: an empty object takes 3 of their
 * bytes, and some 100 once it is parsed.
 */
export const JSON_PUNCTUATION_MAX = 128 * 1024;

/** Bounds on JSON, checked in its text. */
export interface JsonLimits {
  readonly depthMax: number;
  readonly punctuationMax: number;
}

const [QUOTE, BACKSLASH, COMMA] = [0x22, 0x5c, 0x2c];
const [OPEN_ARRAY, CLOSE_ARRAY, OPEN_OBJECT, CLOSE_OBJECT] = [0x5b, 0x5d, 0x7b, 0x7d];

/**
 * Which of the limits JSON exceeds, if any. It looks at the text, so that no deep or wide value is ever
 * made: whatever handles a deep one may recurse into it, and overflow its stack.
 */
export function jsonExcess(
  text: string,
  { depthMax, punctuationMax }: JsonLimits,
): keyof JsonLimits | undefined {
  let depth = 0;
  let punctuation = 0;
  let isInString = false;
  for (let at = 0; at < text.length; at += 1) {
    // indexOf passes over megabytes of base64 much faster than a loop does.
    if (isInString) at = text.indexOf('"', at);
    // A string without an end is no JSON.
    if (at < 0) return undefined;
    switch (text.charCodeAt(at)) {
      case QUOTE:
        punctuation += 1;
        isInString = !isInString || isEscaped(text, at);
        break;
      case OPEN_ARRAY:
      case OPEN_OBJECT:
        punctuation += 1;
        depth += 1;
        break;
      case CLOSE_ARRAY:
      case CLOSE_OBJECT:
        depth -= 1;
        break;
      case COMMA:
        punctuation += 1;
        break;
      default:
        break;
    }
    if (depth > depthMax) return "depthMax";
    if (punctuation > punctuationMax) return "punctuationMax";
  }
  return undefined;
}

/** Whether an odd number of backslashes is before the quotation mark at `quote`. */
function isEscaped(text: string, quote: number): boolean {
  let backslashes = 0;
  while (text.charCodeAt(quote - 1 - backslashes) === BACKSLASH) backslashes += 1;
  return backslashes % 2 === 1;
}

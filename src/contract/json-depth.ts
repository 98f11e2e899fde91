/** Most arrays and objects within each other in the JSON of a request, its outermost included. */
export const JSON_DEPTH_MAX = 32;

const [QUOTE, BACKSLASH] = [0x22, 0x5c];
const [OPEN_ARRAY, CLOSE_ARRAY, OPEN_OBJECT, CLOSE_OBJECT] = [0x5b, 0x5d, 0x7b, 0x7d];

/**
 * Whether JSON has more than `depthMax` arrays and objects within each other. It looks at the text, so
 * that no deep value is ever made: whatever handles one may recurse into it, and overflow its stack.
 */
export function isJsonDeeperThan(text: string, depthMax: number): boolean {
  let depth = 0;
  for (let at = 0; at < text.length; at += 1) {
    switch (text.charCodeAt(at)) {
      case QUOTE:
        at = endOfString(text, at);
        break;
      case OPEN_ARRAY:
      case OPEN_OBJECT:
        depth += 1;
        if (depth > depthMax) return true;
        break;
      case CLOSE_ARRAY:
      case CLOSE_OBJECT:
        depth -= 1;
        break;
      default:
        break;
    }
  }
  return false;
}

/** Where the string ends that begins at `start`: at its closing quote, or at the text's end. */
function endOfString(text: string, start: number): number {
  // indexOf passes over megabytes of base64 much faster than a loop does.
  for (let end = text.indexOf('"', start + 1); end >= 0; end = text.indexOf('"', end + 1)) {
    let backslashes = 0;
    while (text.charCodeAt(end - 1 - backslashes) === BACKSLASH) backslashes += 1;
    if (backslashes % 2 === 0) return end;
  }
  return text.length;
}

import type { Mark } from "../../src/contract/marks.ts";
import { exactly, isNumber, isText, oneOf, orNull, shape, type Check } from "./record-shape.ts";

const at = { atMs: isNumber };
const ofStream = { ...at, stream: exactly("video", "audio") };

/** The contract's marks; the compiler sees to it that none is missing. */
const markShapes = {
  began: shape({ ...at, reason: isText, pictures: orNull(exactly("continuous", "on-change")) }),
  paused: shape(at),
  resumed: shape(at),
  muted: shape(ofStream),
  unmuted: shape(ofStream),
  stalled: shape(ofStream),
  hidden: shape(at),
  visible: shape(at),
  frozen: shape({ ...at, toMs: isNumber }),
  "device-changed": shape(ofStream),
  ended: shape(at),
} satisfies Record<Mark["type"], Check<unknown>>;

/** Whether it is a mark that this version knows. */
export const isMark: Check<Mark> = oneOf(markShapes);

/** The marks in what another version of this library wrote: a chunk is worth more than its marks. */
export function marksIn(value: unknown): readonly Mark[] {
  return Array.isArray(value) ? value.filter(isMark) : [];
}

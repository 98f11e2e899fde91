import { expect, test } from "bun:test";
import { newSegmentId } from "../../../client/recorder/segment-id.ts";
import { segmentIdSchema } from "../../../src/contract/ids.ts";

test("newSegmentId gives a UUID of the contract, another one each time", () => {
  const ids = Array.from({ length: 1_000 }, newSegmentId);
  expect(new Set(ids).size).toBe(1_000);
  for (const id of ids) {
    expect(segmentIdSchema.parse(id) as string).toBe(id);
    expect(id).toMatch(/^.{14}4.{4}[89ab]/);
  }
});

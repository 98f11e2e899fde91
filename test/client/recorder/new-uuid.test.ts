import { expect, test } from "bun:test";
import { newUuid } from "../../../client/recorder/new-uuid.ts";
import { segmentIdSchema } from "../../../src/contract/ids.ts";

test("newUuid gives a UUID of the contract, another one each time", () => {
  const ids = Array.from({ length: 1_000 }, newUuid);
  expect(new Set(ids).size).toBe(1_000);
  for (const id of ids) {
    expect(segmentIdSchema.parse(id) as string).toBe(id);
    expect(id).toMatch(/^.{14}4.{4}[89ab]/);
  }
});

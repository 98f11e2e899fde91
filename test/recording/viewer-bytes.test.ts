import { expect, test } from "bun:test";
import { ViewerBytes } from "../../src/recording/viewer-bytes.ts";

test("viewers share the limit fairly, and what they release is free for others", () => {
  const bytes = new ViewerBytes(300);
  const [first, second, third] = [bytes.open(), bytes.open(), bytes.open()];
  expect(first.hold(100)).toBe(true);
  expect(second.hold(100)).toBe(true);
  // Of what is left, nobody gets more than is left for others then.
  expect(third.hold(100)).toBe(false);
  expect(third.hold(50)).toBe(true);
  expect(bytes.total).toBe(250);
  // It holds one instead of the other.
  expect(third.hold(40)).toBe(true);
  expect(bytes.total).toBe(240);
  first[Symbol.dispose]();
  first[Symbol.dispose]();
  expect(bytes.total).toBe(140);
  expect(third.hold(100)).toBe(true);
  // Whoever has left holds nothing, whatever was under way.
  expect(first.hold(1)).toBe(false);
  for (const viewer of [second, third]) viewer[Symbol.dispose]();
  expect(bytes.total).toBe(0);
});

test("one viewer alone may hold any chunk", () => {
  const bytes = new ViewerBytes(10);
  expect(bytes.open().hold(1_000)).toBe(true);
  expect(bytes.open().hold(1)).toBe(false);
});

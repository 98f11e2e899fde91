import { expect, test } from "bun:test";
import { FairTurns } from "../../src/jobs/fair-turns.ts";

/** Takes one piece of work after the other until none is left, and gives whose each was. */
function taken(turns: FairTurns<string>, work: string[]): string {
  let order = "";
  for (let owner = turns.next(work); owner !== undefined; owner = turns.next(work)) {
    order += owner;
    work.splice(work.indexOf(owner), 1);
  }
  return order;
}

test("owners take turns, the one that waits longest first", () => {
  expect(taken(new FairTurns(), "aaaabbc".split(""))).toBe("abcabaa");
});

test("an owner that comes new waits for one turn of each other, however much work those have", () => {
  const turns = new FairTurns<string>();
  const work = "aaaaaaaa".split("");
  for (let i = 0; i < 3; i += 1) expect(turns.next(work)).toBe("a");
  work.push("b", "b", "b");
  expect(turns.next(work)).toBe("a");
  expect(turns.next(work)).toBe("b");
  expect(turns.next(work)).toBe("a");
  expect(turns.next([...work, "c"])).toBe("b");
  expect(turns.next([...work, "c"])).toBe("a");
  expect(turns.next([...work, "c"])).toBe("c");
});

test("those who come again and again do not keep one that waits from its turn", () => {
  const turns = new FairTurns<string>();
  const order = Array.from({ length: 6 }, (_, i) => turns.next(["a", `new ${i}`, `new ${i + 1}`]));
  expect(order.filter((owner) => owner === "a").length).toBeGreaterThanOrEqual(2);
});

import { expect, test } from "bun:test";
import { readFile } from "node:fs/promises";
import { ThreadTurns } from "../../src/recording/thread-turns.ts";

/** Many more than a read takes; in microtasks they would all run before it. */
const TURNS_MAX = 10_000_000;

test("whoever takes one turn after the other lets I/O through", async () => {
  const turns = new ThreadTurns();
  const read = new AbortController();
  const reading = readFile(import.meta.path).then(() => read.abort());
  let taken = 0;
  for (; !read.signal.aborted && taken < TURNS_MAX; taken += 1) await turns.next();
  expect(taken).toBeLessThan(TURNS_MAX);
  await reading;
});

test("turns come in the order in which they were asked for, one in each round of the event loop", async () => {
  const turns = new ThreadTurns();
  const order: string[] = [];
  const between = (): void => {
    order.push("|");
    if (order.length < 6) setImmediate(between);
  };
  const all = ["a", "b", "c"].map(async (name) => {
    await turns.next();
    order.push(name);
  });
  setImmediate(between);
  await Promise.all(all);
  expect(order.join("")).toBe("a|b|c");
});

test("while an upload is on its way turns wait for time to pass", async () => {
  const waits: { readonly delayMs: number; readonly callback: () => void }[] = [];
  const turns = new ThreadTurns((delayMs, callback) => waits.push({ delayMs, callback }));
  const upload = turns.upload();
  const taken: string[] = [];
  const first = turns.next().then(() => taken.push("first"));
  const second = turns.next().then(() => taken.push("second"));
  await new Promise(setImmediate);
  expect(taken).toEqual([]);
  waits.shift()?.callback();
  await first;
  expect({ taken, waits: waits.length }).toEqual({ taken: ["first"], waits: 1 });
  upload[Symbol.dispose]();
  waits.shift()?.callback();
  await second;
  await turns.next();
  expect(waits).toEqual([]);
});

test("any number of readers leaves every second turn to jobs", async () => {
  const turns = new ThreadTurns();
  const order: string[] = [];
  const take = async (kind: "reader" | "job", name: string): Promise<void> => {
    await turns.next(kind);
    order.push(name);
  };
  await Promise.all([
    ...["a", "b", "c", "d"].map((name) => take("reader", name)),
    ...["1", "2"].map((name) => take("job", name)),
  ]);
  expect(order.join("")).toBe("1a2bcd");
});

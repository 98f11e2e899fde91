import { expect, test } from "bun:test";
import { RunningTime } from "../../../client/studio/running-time.ts";

test("counts what runs and leaves the pauses out", () => {
  const time = new RunningTime();
  expect(time.read(50)).toBe(0);
  time.run(100);
  expect(time.read(350)).toBe(250);
  time.halt(400);
  expect(time.read(10_000)).toBe(300);
  time.run(20_000);
  expect(time.read(20_500)).toBe(800);
});

test("running what runs and halting what is halted change nothing", () => {
  const time = new RunningTime();
  time.run(0);
  time.run(500);
  time.halt(1_000);
  time.halt(9_000);
  expect(time.read(9_000)).toBe(1_000);
});

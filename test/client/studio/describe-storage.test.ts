import { expect, test } from "bun:test";
import { describeStall, describeStorage } from "../../../client/studio/describe-storage.ts";

const figures = { usedBytes: 1, quotaBytes: 2, memoryBytes: 0 };

test("room is nothing to speak of, and the lack of it is", () => {
  expect(describeStorage({ state: "ok", ...figures, reason: null })).toBeNull();
  for (const state of ["low", "critical", "memory"] as const) {
    expect(describeStorage({ state, ...figures, reason: "So it is." })).toContain(" So it is. ");
  }
  expect(describeStorage({ state: "memory", ...figures, reason: null })).toContain(
    "It would be lost with the page",
  );
});

test("a stall is told once it has a consequence", () => {
  expect(describeStall("camera", { action: "asked", silentMs: 5_000 })).toBeNull();
  expect(describeStall("camera", { action: "restarting", silentMs: 7_000 })).toContain(
    "nothing of the camera for 7 s",
  );
  expect(describeStall("screen", { action: "waiting", silentMs: 7_000 })).toContain("muted");
});

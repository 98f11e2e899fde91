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
  const both = ["video", "audio"] as const;
  const stalled = { silentMs: 7_000, silent: both };
  expect(describeStall("camera", { ...stalled, action: "asked" })).toBeNull();
  expect(describeStall("camera", { ...stalled, action: "restarting" })).toContain(
    "nothing of the camera for 7 s",
  );
  expect(describeStall("screen", { ...stalled, action: "waiting" })).toContain("muted");
});

test("a stall says whether the picture or the sound is missing, until it is back", () => {
  const silentMs = 6_000;
  for (const [kind, noun] of [
    ["audio", "sound"],
    ["video", "picture"],
  ] as const) {
    const silent = [kind];
    expect(describeStall("camera", { action: "leaving-out", silentMs, silent })).toContain(
      `No ${noun} comes from the camera`,
    );
    expect(describeStall("camera", { action: "leaving-out", silentMs, silent })).toContain("Check");
    expect(describeStall("screen", { action: "leaving-out", silentMs, silent })).not.toContain(
      "Check",
    );
    expect(describeStall("camera", { action: "returned", silentMs, silent })).toBeNull();
  }
});

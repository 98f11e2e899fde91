import { expect, test } from "bun:test";
import { mixSound } from "../../../src/exports/composite/sound-mix.ts";
import { exportTrack } from "./export-tracks.ts";

test("sound from before the recording's zero is left out, and what follows stays in its place", () => {
  const early = exportTrack({ participant: "ada", offsetMs: -500, durationMs: 2_000 });
  const before = exportTrack({ participant: "bob", offsetMs: -3_000, durationMs: 2_000 });
  const { inputs } = mixSound([early, before], 1_500);
  expect(inputs.filter((option) => option === "-i")).toHaveLength(1);
  expect(inputs[inputs.indexOf("-ss") + 1]).toBe("0.500000");
  expect(inputs[inputs.indexOf("-t") + 1]).toBe("1.500000");
});

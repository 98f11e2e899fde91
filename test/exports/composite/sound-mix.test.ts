import { expect, test } from "bun:test";
import { mixSound } from "../../../src/exports/composite/sound-mix.ts";
import { exportTrack } from "./export-tracks.ts";

test("sound from before the recording's zero is left out, and what follows stays in its place", () => {
  const early = exportTrack({ participant: "ada", offsetMs: -500, durationMs: 2_000 });
  const before = exportTrack({ participant: "bob", offsetMs: -3_000, durationMs: 2_000 });
  const { inputs, graph } = mixSound([early, before], 1_500);
  expect(inputs.filter((option) => option === "-i")).toHaveLength(1);
  expect(graph).toContain("[0:a:0]atrim=start=0.500000,asetpts=PTS-0.500000/TB,");
  expect(inputs[inputs.indexOf("-t") + 1]).toBe("2.000000");
});

test("only sound from far behind the begin is sought: a seek leaves out what precedes the first picture", () => {
  const late = exportTrack({ participant: "ada", offsetMs: -90_000, durationMs: 100_000 });
  expect(mixSound([late], 10_000).inputs).toContain("-ss");
  const whole = exportTrack({ participant: "ada", offsetMs: 0, durationMs: 10_000 });
  expect(mixSound([whole], 10_000).inputs).not.toContain("-ss");
});

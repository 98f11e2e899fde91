import { expect, test } from "bun:test";
import { sumAmounts } from "../../../client/studio/sum-amounts.ts";

const amount = (chunks: number, bytes: number, seconds: number) => ({ chunks, bytes, seconds });

test("without a recorder there is nothing", () => {
  const nothing = { chunks: 0, bytes: 0, durationMs: 0 };
  expect(sumAmounts([])).toEqual({ recorded: nothing, acknowledged: nothing, pending: nothing });
});

test("chunks and bytes add up; time is that of the longest track, less what the slowest lacks", () => {
  const camera = {
    recorded: amount(10, 1_000, 10),
    acknowledged: amount(9, 900, 9),
    pending: amount(1, 100, 1),
  };
  const screen = {
    recorded: amount(6, 600, 6),
    acknowledged: amount(2, 200, 2),
    pending: amount(4, 400, 4),
  };
  expect(sumAmounts([camera, screen])).toEqual({
    recorded: { chunks: 16, bytes: 1_600, durationMs: 10_000 },
    acknowledged: { chunks: 11, bytes: 1_100, durationMs: 6_000 },
    pending: { chunks: 5, bytes: 500, durationMs: 4_000 },
  });
});

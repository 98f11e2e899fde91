import { describe, expect, test } from "bun:test";
import { SOUND_DEFICIT_MS_MAX, SoundDeficit } from "../../src/finalize/sound-deficit.ts";

const PACKET_MS = 60;
const PACKETS = 200;

/** Of packets at even times, each with what is added to its own. */
function deficitOf(
  addedMs: (i: number) => number,
  durationMs?: (i: number) => number,
): SoundDeficit {
  const deficit = new SoundDeficit();
  for (let i = 0; i < PACKETS; i += 1) {
    deficit.add(i * PACKET_MS + addedMs(i), durationMs === undefined ? PACKET_MS : durationMs(i));
  }
  return deficit;
}

describe("what packets of sound lack together", () => {
  test("is what was lost, also where each loss is short", () => {
    expect(deficitOf((i) => (i < 100 ? 0 : 60)).steadyMs).toBe(60);
    expect(deficitOf((i) => 10 * Math.floor(i / 20)).steadyMs).toBe(90);
  });

  test("is nothing where times are noisy, or late for a while", () => {
    const noisy = deficitOf((i) => [0, -8, 9, 4, -12][i % 5] ?? 0);
    expect(noisy.steadyMs).toBeLessThan(SOUND_DEFICIT_MS_MAX);
    const late = deficitOf((i) => (i > 50 && i < 65 ? 200 : 0));
    expect(late.steadyMs).toBeLessThan(SOUND_DEFICIT_MS_MAX);
  });

  test("is not told of packets of several lengths, or of none", () => {
    const uneven = deficitOf(
      () => 60,
      (i) => (i % 2 === 0 ? 20 : 60),
    );
    expect([uneven.steadyMs, uneven.packetMs]).toEqual([0, undefined]);
    expect(deficitOf(() => 0).packetMs).toBe(PACKET_MS);
    const unknown = new SoundDeficit();
    unknown.add(0, undefined);
    unknown.add(60, 60);
    expect([unknown.steadyMs, unknown.packetMs]).toEqual([0, undefined]);
  });
});

import { expect, test } from "bun:test";
import { participantIdSchema, recordingIdSchema, trackIdSchema } from "../../src/contract/ids.ts";
import type { TrackKey } from "../../src/recording/ports.ts";
import { TrackRegistry } from "../../src/recording/track-registry.ts";

const recordingId = recordingIdSchema.parse(Bun.randomUUIDv7());

function trackOf(participant: string): TrackKey {
  return {
    recordingId,
    participantId: participantIdSchema.parse(participant),
    trackId: trackIdSchema.parse("camera"),
  };
}

test("tracks that appear together are told by one transaction, later ones by the next", async () => {
  const transactions: (readonly TrackKey[])[] = [];
  const blocked = Promise.withResolvers<void>();
  const registry = new TrackRegistry({
    addTracks: async (keys) => {
      transactions.push(keys);
      if (transactions.length === 1) await blocked.promise;
    },
  });
  const first = ["a", "b", "c"].map((name) => registry.register(trackOf(name)));
  await new Promise((resolve) => setImmediate(() => setImmediate(resolve)));
  const second = ["d", "e"].map((name) => registry.register(trackOf(name)));
  blocked.resolve();
  await Promise.all([...first, ...second]);
  expect(transactions).toEqual([["a", "b", "c"].map(trackOf), ["d", "e"].map(trackOf)]);
});

test("a transaction that fails fails for its own tracks only", async () => {
  let calls = 0;
  const registry = new TrackRegistry({
    addTracks: async () => {
      calls += 1;
      if (calls === 1) throw new RangeError("the disk is full");
    },
  });
  await expect(registry.register(trackOf("a"))).rejects.toThrow("the disk is full");
  await registry.register(trackOf("a"));
  expect(calls).toBe(2);
});

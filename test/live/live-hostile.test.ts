import { expect, test } from "bun:test";
import { MatroskaFilter } from "../../src/finalize/matroska-filter.ts";
import type { PassedBlock } from "../../src/finalize/passing-blocks.ts";
import type { MatroskaTrack } from "../../src/finalize/matroska-tracks.ts";
import { KeyframeGate } from "../../src/live/keyframe-gate.ts";
import { liveMediaFor } from "../../src/live/live-formats.ts";
import type { LiveMedia } from "../../src/live/live-media.ts";
import { type Mutant, mutantOf, mutantSources } from "../finalize/media-mutants.ts";
import { campaignSeed } from "../faults/support/seeded-random.ts";

const MUTANTS = 1_000;

/** Shows a segment as the live view does; gives the number of bytes that a viewer gets. */
function show({ chunks }: Mutant): number {
  let blocks: PassedBlock[] = [];
  let media: LiveMedia | undefined;
  let gate: KeyframeGate | undefined;
  let shownBytes = 0;
  const filter = new MatroskaFilter((block) => blocks.push(block));
  const trackOf = (kind: MatroskaTrack["kind"]) =>
    filter.tracks.find(({ track }) => track.kind === kind)?.track;
  for (const chunk of chunks) {
    if (chunk === undefined) {
      filter.gap();
      gate?.gap();
      continue;
    }
    filter.push(chunk);
    if (media === undefined) {
      const tracks = { video: trackOf("video"), audio: trackOf("audio") };
      media = liveMediaFor(tracks, blocks.find(({ isKey }) => isKey)?.data);
      if (media === undefined) continue;
      gate = new KeyframeGate(media);
      shownBytes += media.header().length;
    }
    const shown = blocks.filter((block) => gate?.lets(block));
    blocks = [];
    if (shown.length > 0) shownBytes += media.fragment(shown).length;
  }
  return shownBytes;
}

test("whatever a recorder sends, the live view writes something or nothing, and does not fail", async () => {
  const seed = campaignSeed();
  const sources = await mutantSources([]);
  let shown = 0;
  for (let i = 0; i < MUTANTS; i += 1) {
    const mutant = mutantOf(seed + i, sources);
    try {
      if (show(mutant) > 0) shown += 1;
    } catch (cause) {
      throw new Error(`Mutant ${seed + i} (${mutant.name})`, { cause });
    }
  }
  expect(shown).toBeGreaterThan(MUTANTS / 4);
});

import { expect, test } from "bun:test";
import { CAMPAIGN_TIMEOUT_MS, campaign } from "../faults/campaign.ts";
import { ClockCall } from "../support/clock-call.ts";
import { clockReaches } from "../support/clock-page.ts";
import { decodedSizes } from "../support/decoded-sizes.ts";
import { expectGaps, expectInPlace, figuresInWords, judgeTrack } from "../support/judged-track.ts";
import { openTestBed } from "../support/test-bed.ts";

/** How long each size lasts. */
const PART_MS = campaign({ short: 3_000, long: 10_000 });

const SIZES = [
  { width: 640, height: 360 },
  { width: 320, height: 568 },
  { width: 1280, height: 720 },
] as const;

test.each([
  { asked: "video/mp4;codecs=avc1,opus", recorded: /^video\/mp4;codecs=avc3/ },
  { asked: "video/mp4", recorded: /^video\/mp4;codecs=avc3/ },
  { asked: "video/x-matroska;codecs=avc1,opus", recorded: /^video\/x-matroska;codecs=avc1/ },
])(
  "$asked of a window that changes its size has every picture, in its size and at its time",
  async ({ asked, recorded }) => {
    await using bed = await openTestBed();
    const { api, directory } = bed;
    const recordingId = await api.start();
    const name = { recordingId, participantId: "ann", trackId: "screen" };
    const [first, ...others] = SIZES;
    const picture = { ...first, framesPerSecond: 30 };
    await using call = await ClockCall.open(bed, {
      ...name,
      source: 1,
      picture,
      mimeTypes: [asked],
    });
    await clockReaches(Date.now() + PART_MS);
    for (const size of others) {
      await call.clock.resize({ streamName: "camera", ...size });
      await clockReaches(Date.now() + PART_MS);
    }
    await call.stop();
    const { segments, errors } = await call.clock.report("camera");
    expect(errors).toEqual([]);
    expect(segments).toEqual([{ mimeType: expect.stringMatching(recorded), reason: "start" }]);
    await api.stop(recordingId);
    const judged = await judgeTrack(await api.ready(recordingId), name, {
      api,
      directory,
      player: call.clock,
    });
    expect(judged.track).toMatchObject({ verdict: "complete", reason: null });
    expect(judged.track.media?.action).toBe("copy");
    expectGaps(judged, []);
    process.stderr.write(`${asked}: ${figuresInWords(expectInPlace(judged))}\n`);
    expect(await decodedSizes(judged.path)).toEqual(
      SIZES.map(({ width, height }) => `${width}x${height}`),
    );
  },
  CAMPAIGN_TIMEOUT_MS,
);

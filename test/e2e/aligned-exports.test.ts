import { expect, test } from "bun:test";
import { CAMPAIGN_TIMEOUT_MS, campaign } from "../faults/campaign.ts";
import { beepsIn, decodeSound } from "../support/beep-judge.ts";
import { launchChromium } from "../support/chromium.ts";
import { ClockCall } from "../support/clock-call.ts";
import { type ClockPicture, decodeClockPictures } from "../support/clock-judge.ts";
import { clockReaches } from "../support/clock-page.ts";
import { exportedFiles } from "../support/exported-files.ts";
import { complaintsAbout } from "../support/judge-ffmpeg.ts";
import { PLACE_TOLERANCE_MS } from "../support/judged-track.ts";
import { openTestBed, type TestBed } from "../support/test-bed.ts";
import { findClocks } from "../support/tile-finder.ts";
import { placeBeeps, placePictures, type PlacedMoment } from "../support/timeline-judge.ts";

const CALL_MS = campaign({ short: 8_000, long: 180_000 });

/** The second one comes later and leaves earlier. */
const LATER_MS = campaign({ short: 2_500, long: 5_000 });

/** Far more than an export takes at the promised three times real time. */
const EXPORT_TIMEOUT_MS = 60_000 + 4 * CALL_MS;

const COMPOSITE = { width: 1280, height: 720 };

/** Of each file: looked at are its begin, its middle and its end. */
const LOOK_MS = 2_500;

const PARTICIPANTS = [
  { participantId: "ann", source: 1, beepHz: 1_000, aheadMs: 300_000, driftPpm: 0 },
  { participantId: "ben", source: 2, beepHz: 1_700, aheadMs: -45_000, driftPpm: 200 },
] as const;

/** Begin, middle and end of what somebody gave. */
function looksAt(moments: readonly PlacedMoment[]): PlacedMoment[][] {
  const [first, last] = [moments.at(0)?.timeMs ?? 0, moments.at(-1)?.timeMs ?? 0];
  return [first, (first + last - LOOK_MS) / 2, last - LOOK_MS].map((fromMs) =>
    moments.filter(({ timeMs }) => timeMs >= fromMs && timeMs <= fromMs + LOOK_MS),
  );
}

function meanErrorMs(moments: readonly PlacedMoment[]): number {
  expect(moments.length).toBeGreaterThan(0);
  return moments.reduce((sum, { errorMs }) => sum + errorMs, 0) / moments.length;
}

/** Expects every moment at its place, and those of the two at begin, middle and end together. */
function expectTogether(what: string, both: readonly (readonly PlacedMoment[])[]): void {
  const looks = both.map(looksAt);
  const words = looks.map((parts) => parts.map((part) => meanErrorMs(part).toFixed(0)).join(", "));
  process.stderr.write(`${what}: begin, middle and end are off by ${words.join(" ms and ")} ms\n`);
  for (const moments of both) {
    const errors = moments.map(({ errorMs }) => Math.abs(errorMs));
    expect(Math.max(...errors)).toBeLessThanOrEqual(PLACE_TOLERANCE_MS);
  }
  const [ann = [], ben = []] = looks;
  for (const [i, part] of ann.entries()) {
    const apartMs = meanErrorMs(part) - meanErrorMs(ben[i] ?? []);
    expect(Math.abs(apartMs)).toBeLessThanOrEqual(PLACE_TOLERANCE_MS);
  }
}

/** Without the first one, which a recorder takes from before its start. */
function placesOf(pictures: readonly ClockPicture[], zeroMs: number): PlacedMoment[] {
  return placePictures(pictures, zeroMs).slice(1);
}

/** When the first one was alone, when both were there, when the first one was alone again. */
interface Filmed {
  readonly aloneAtMs: number;
  readonly bothAtMs: number;
  readonly aloneAgainAtMs: number;
}

async function film(bed: TestBed, recordingId: string): Promise<Filmed> {
  await using open = new AsyncDisposableStack();
  const other = open.use(await launchChromium());
  const sinceMs = Date.now();
  const calls: ClockCall[] = [];
  let aloneAtMs = 0;
  for (const [i, { participantId, source, beepHz, aheadMs, driftPpm }] of PARTICIPANTS.entries()) {
    if (i > 0) {
      aloneAtMs = Date.now() + LATER_MS / 2;
      await clockReaches(Date.now() + LATER_MS);
    }
    const call = await ClockCall.open(bed, {
      recordingId,
      participantId,
      trackId: "camera",
      source,
      beepHz,
      clock: { offsetMs: aheadMs, driftPpm, sinceMs },
      browser: i === 0 ? bed.browser : other,
    });
    calls.push(open.use(call));
  }
  const bothAtMs = Date.now() + CALL_MS / 2;
  await clockReaches(Date.now() + CALL_MS);
  await calls[1]?.stop();
  const aloneAgainAtMs = Date.now() + LATER_MS / 2;
  await clockReaches(Date.now() + LATER_MS);
  await calls[0]?.stop();
  return { aloneAtMs, bothAtMs, aloneAgainAtMs };
}

test(
  "what two saw at once stands together in every aligned file and in the composite, whatever their clocks",
  async () => {
    await using bed = await openTestBed();
    const { api, directory } = bed;
    const recordingId = await api.start();
    const filmed = await film(bed, recordingId);
    await api.stop(recordingId);
    const { startedAt } = await api.ready(recordingId);
    const zeroMs = Date.parse(startedAt);

    const options = { directory, timeoutMs: EXPORT_TIMEOUT_MS };
    const files = await exportedFiles(api, recordingId, { kind: "aligned" }, options);
    expect(files.length).toBe(PARTICIPANTS.length);
    expect(new Set(files.map(({ durationMs }) => Math.round(durationMs / 10))).size).toBe(1);
    const aligned = await Promise.all(
      PARTICIPANTS.map(async ({ participantId, source, beepHz }) => {
        const file = files.find((candidate) => candidate.participantId === participantId);
        if (file === undefined) throw new Error(`No aligned file of ${participantId}`);
        expect(await complaintsAbout(file.path)).toEqual([]);
        const pictures = await decodeClockPictures(file.path, { nearMs: zeroMs });
        const own = pictures.filter((picture) => picture.source === source);
        const beeps = beepsIn(await decodeSound(file.path), beepHz);
        return {
          pictures: placesOf(own, zeroMs),
          sounds: placeBeeps(beeps, zeroMs, "timeMs"),
        };
      }),
    );
    expectTogether(
      "Aligned pictures",
      aligned.map(({ pictures }) => pictures),
    );
    expectTogether(
      "Aligned beeps",
      aligned.map(({ sounds }) => sounds),
    );

    const [composite] = await exportedFiles(api, recordingId, { kind: "composite" }, options);
    if (composite === undefined) throw new Error("No composite");
    expect(await complaintsAbout(composite.path)).toEqual([]);
    const clocksAt = (timeMs: number) =>
      findClocks(composite.path, { atMs: timeMs - zeroMs, ...COMPOSITE, nearMs: zeroMs });
    for (const timeMs of [filmed.aloneAtMs, filmed.aloneAgainAtMs]) {
      expect((await clocksAt(timeMs)).map(({ source }) => source)).toEqual([1]);
    }
    const clocks = await clocksAt(filmed.bothAtMs);
    expect(clocks.map(({ source }) => source)).toEqual([1, 2]);
    const tiles: PlacedMoment[][] = [];
    for (const { source, region } of clocks) {
      const pictures = await decodeClockPictures(composite.path, { nearMs: zeroMs, region });
      // Who is alone has another place in the picture: what can be read here is when both are there.
      tiles.push(
        placesOf(
          pictures.filter((picture) => picture.source === source),
          zeroMs,
        ),
      );
    }
    expectTogether("Composite pictures", tiles);
    const mixed = await decodeSound(composite.path);
    expectTogether(
      "Composite beeps",
      PARTICIPANTS.map(({ beepHz }) => placeBeeps(beepsIn(mixed, beepHz), zeroMs)),
    );
  },
  CAMPAIGN_TIMEOUT_MS,
);

import { describe, expect, test } from "bun:test";
import { mkdir, readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { ffmpegArguments } from "../../src/finalize/ffmpeg-arguments.ts";
import type { RemuxPlan } from "../../src/finalize/remux-plan.ts";
import { FinalizerBed, testFfmpeg, trackKey } from "../finalize/finalizer-bed.ts";
import { hostileTexts } from "../finalize/hostile-texts.ts";
import {
  type Mutant,
  type MutantSource,
  mutantOf,
  mutantSources,
} from "../finalize/media-mutants.ts";
import { noStraceReason } from "./support/no-strace-reason.ts";
import { ChildMemoryWatch, type TrialOutcome, tryMutant } from "../finalize/mutant-trial.ts";
import { badMedia, joinChunks, recordedSegment } from "../support/recorded-media.ts";
import { CAMPAIGN_TIMEOUT_MS, campaign } from "./campaign.ts";
import { reportCampaign } from "./support/report-campaign.ts";
import { campaignSeed } from "./support/seeded-random.ts";

const MUTANTS = campaign({ short: 150, long: 10_000 });

/** Of the hostile texts each so-manieth is tried; the number shares no factor with their kinds. */
const HOSTILE_STEP = campaign({ short: 7, long: 1 });

/** As many as are finalized at once by default. */
const LANES = 2;
const TRIAL_MS_MAX = 30_000;
const TRIAL_BYTES_MAX = 512 * 1024 * 1024;
/** Longest that one mutant may keep the server's only thread from everything else. */
const BLOCKED_MS_MAX = 5_000;

/** The canary: no mutant is made of it, so that its bytes can only come from its own files. */
const CANARY = "h264-opus-paused";
const NEEDLES = 256;
const NEEDLE_BYTES = 24;

async function openBed(): Promise<FinalizerBed> {
  return FinalizerBed.open(await testFfmpeg(), { attemptsMax: 1, stopGraceMs: 0 });
}

/** Records the canary as another participant's, and gives its files and pieces of its bytes. */
async function keepCanary(
  bed: FinalizerBed,
  sources: readonly MutantSource[],
): Promise<{ paths: string[]; needles: Buffer[] }> {
  const { chunks, mimeType } = await recordedSegment(CANARY);
  const payloads = chunks.map(({ payload }) => payload);
  const record = await bed.finalize({ chunks: payloads, mimeType });
  const key = trackKey(record.recordingId);
  const plain = join(bed.scratchDirectory, "canary.mkv");
  await writeFile(plain, joinChunks(chunks));
  const [segmentId] = await bed.store.list(record.recordingId);
  if (segmentId === undefined) throw new Error("The canary has no segment.");
  const bytes = Buffer.concat(payloads);
  const step = Math.floor(bytes.length / (NEEDLES + 1));
  const needles = Array.from({ length: NEEDLES }, (_, i) =>
    bytes.subarray((i + 1) * step, (i + 1) * step + NEEDLE_BYTES),
  ).filter((needle) => !sources.some(({ chunks: own }) => Buffer.concat(own).includes(needle)));
  expect(needles.length).toBeGreaterThan(NEEDLES / 8);
  const paths = [
    plain,
    bed.layout.mediaPath(key),
    bed.layout.segmentPath(record.recordingId, segmentId),
  ];
  // The needles are of use only if a copy of the canary would show them.
  const copy = Buffer.from(await Bun.file(bed.layout.mediaPath(key)).bytes());
  expect(needles.filter((needle) => copy.includes(needle)).length).toBeGreaterThan(NEEDLES / 8);
  return { paths, needles };
}

/** Runs `work` for each item, `LANES` at a time. */
async function inLanes<T>(items: Iterable<T>, work: (item: T) => Promise<void>): Promise<void> {
  const iterator = items[Symbol.iterator]();
  const lane = async (): Promise<void> => {
    for (let next = iterator.next(); next.done !== true; next = iterator.next()) {
      await work(next.value);
    }
  };
  await Promise.all(Array.from({ length: LANES }, lane));
}

function* mutants(seed: number, count: number, make: (seed: number) => Mutant): Generator<Mutant> {
  for (let i = 0; i < count; i += 1) {
    const own = (seed + i) % 2 ** 32;
    const mutant = make(own);
    yield { ...mutant, name: `mutant ${own} (${mutant.name})` };
  }
}

/** Measures for how long nothing else got its turn on this thread. */
class TurnWatch implements Disposable {
  longestMs = 0;
  #lastMs = performance.now();
  readonly #timer = setInterval(() => {
    const nowMs = performance.now();
    this.longestMs = Math.max(this.longestMs, nowMs - this.#lastMs);
    this.#lastMs = nowMs;
  }, 10);

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }
}

function expectGoodEnd({ end, reason, files, media }: TrialOutcome): void {
  if (end === "complete") expect(reason).toBeNull();
  else expect(reason).toMatch(/\.$/);
  // An error that nobody foresaw is told in these words.
  expect(reason ?? "").not.toContain("internal reason");
  expect(reason ?? "").not.toContain("The disk failed");
  expect(files).toEqual(media === null ? [] : ["media.mp4"]);
  expect(media !== null).toBe(end === "complete" || end === "degraded");
}

/** Without a plan ffmpeg takes every stream that it finds. */
const COPY_ALL: RemuxPlan = {
  video: undefined,
  audio: undefined,
  action: "copy",
  reason: "",
  muxer: "ffmpeg",
};

describe("mutants of real chunks", () => {
  test(
    "each ends with a verdict or a reason, in time, in bounds, and with nothing of another's",
    async () => {
      await using bed = await openBed();
      const sources = await mutantSources([CANARY]);
      const { paths, needles } = await keepCanary(bed, sources);
      const bad = (await badMedia()).map(({ name, bytes }): Mutant => ({
        name,
        mimeType: "video/webm",
        chunks: [bytes],
      }));
      const seed = campaignSeed();
      reportCampaign(`mutants: FAULT_SEED=${seed}`);
      const ends = new Map<string, number>();
      const faults: string[] = [];
      let longestMs = 0;
      using turns = new TurnWatch();
      using memory = new ChildMemoryWatch();
      const beganMs = performance.now();
      await inLanes(
        [...bad, ...mutants(seed, MUTANTS, (own) => mutantOf(own, sources))],
        async (mutant) => {
          const outcome = await tryMutant(bed, mutant);
          const { end, media, tookMs } = outcome;
          try {
            expectGoodEnd(outcome);
            expect(tookMs).toBeLessThan(TRIAL_MS_MAX);
            const output = Buffer.from(media ?? []);
            // A bit that was flipped can make a piece of the canary out of one that is nearly the same.
            const input = Buffer.concat(mutant.chunks.flatMap((chunk) => chunk ?? []));
            const foreign = needles.filter((needle) => input.indexOf(needle) < 0);
            expect(foreign.filter((needle) => output.includes(needle))).toEqual([]);
          } catch (error) {
            const words = error instanceof Error ? error.message : String(error);
            faults.push(`${mutant.name} ended ${end}: ${outcome.reason}\n${words}`);
          }
          ends.set(end, (ends.get(end) ?? 0) + 1);
          longestMs = Math.max(longestMs, tookMs);
        },
      );
      const tookMs = performance.now() - beganMs;
      const childBytes = memory.largestBytes;
      const figures = [...ends].map(([end, count]) => `${count} ${end}`).toSorted();
      const count = bad.length + MUTANTS;
      reportCampaign(
        `${count} mutants: ${figures.join(", ")}; ${((count / tookMs) * 1_000).toFixed(1)}/s, ` +
          `longest ${(longestMs / 1_000).toFixed(1)} s, thread held ${turns.longestMs.toFixed(0)} ms, ` +
          `ffmpeg at most ${mebibytes(childBytes)}, this process ${mebibytes(process.memoryUsage().rss)}; ` +
          `of ${paths.length} files of another none was read`,
      );
      expect(faults).toEqual([]);
      expect(ends.get("complete") ?? 0).toBeGreaterThan(0);
      expect(ends.get("degraded") ?? 0).toBeGreaterThan(0);
      expect(ends.get("failed") ?? 0).toBeGreaterThan(0);
      expect(turns.longestMs).toBeLessThan(BLOCKED_MS_MAX);
      if (process.platform === "linux") expect(childBytes).toBeLessThan(TRIAL_BYTES_MAX);
    },
    CAMPAIGN_TIMEOUT_MS,
  );
});

describe("texts and indexes that name other files", () => {
  test(
    "get none of them opened",
    async () => {
      const ffmpeg = await testFfmpeg();
      await using bed = await openBed();
      const sources = await mutantSources([CANARY]);
      const { paths, needles } = await keepCanary(bed, sources);
      let programPath = ffmpeg.path;
      // What comes before ffmpeg refuses nearly all of them: it is to withstand them alone, too.
      let fed = 0;
      const feedFfmpeg = async ({ chunks, mimeType }: Mutant): Promise<void> => {
        const input = join(bed.scratchDirectory, crypto.randomUUID());
        await writeFile(input, Buffer.concat(chunks.flatMap((chunk) => chunk ?? [])));
        const outputPath = `${input}.mp4`;
        const container = mimeType === "video/mp4" ? "mp4" : "matroska";
        fed += 1;
        const child = Bun.spawn(
          [
            programPath,
            ...ffmpegArguments([
              {
                container,
                // Matroska is read from a pipe and, of several short segments together, from files.
                input: container === "mp4" || fed % 2 === 0 ? { path: input } : "pipe:0",
                plan: COPY_ALL,
                abilities: ffmpeg.abilities,
                moovBytes: 100_000,
                picture: undefined,
                outputPath,
              },
            ]),
          ],
          { stdin: Bun.file(input), stdout: "ignore", stderr: "ignore" },
        );
        await child.exited;
        const output = Buffer.from(
          (await Bun.file(outputPath).exists()) ? await Bun.file(outputPath).bytes() : [],
        );
        expect(needles.filter((needle) => output.includes(needle))).toEqual([]);
      };
      let calls = 0;
      using bait = Bun.serve({
        port: 0,
        hostname: "127.0.0.1",
        fetch: () => {
          calls += 1;
          return new Response("bait");
        },
      });
      const mp4 = sources.find(({ name }) => name === "mp4-vp9-opus")?.chunks ?? [];
      const all = hostileTexts({ paths, url: bait.url.origin }, mp4);
      // Those of an MP4 stand at the end, and are always among them.
      const attacks = all.filter((_, i) => (all.length - 1 - i) % HOSTILE_STEP === 0);
      const logs = join(bed.scratchDirectory, "opened");
      await mkdir(logs);
      const straceReason = await noStraceReason();
      if (straceReason === undefined) {
        // Every ffmpeg of this bed tells what it opens and to whom it connects.
        const path = join(bed.scratchDirectory, "ffmpeg");
        await writeFile(path, tracedProgram(ffmpeg.path, logs), { mode: 0o755 });
        await bed.stop();
        await bed.start({ ...ffmpeg, path });
        programPath = path;
      } else {
        reportCampaign(`hostile texts: not traced, ${straceReason}`);
      }
      const ends = new Map<string, number>();
      await inLanes(attacks, async (attack) => {
        await feedFfmpeg(attack);
        const outcome = await tryMutant(bed, attack);
        expectGoodEnd(outcome);
        const output = Buffer.from(outcome.media ?? []);
        expect(needles.filter((needle) => output.includes(needle))).toEqual([]);
        ends.set(outcome.end, (ends.get(outcome.end) ?? 0) + 1);
      });
      expect(calls).toBe(0);
      const names = await readdir(logs);
      let opened = 0;
      for (const name of names) {
        const lines = (await Bun.file(join(logs, name)).text()).split("\n");
        opened += lines.filter((line) => line.includes("open")).length;
        expect(lines.filter((line) => paths.some((path) => line.includes(path)))).toEqual([]);
        expect(lines.filter((line) => line.includes("connect("))).toEqual([]);
      }
      // The trace is of use only if ffmpeg ran, and if it shows what ffmpeg opened; one that is linked
      // statically opens no library, and nothing at all when it refuses its input.
      if (straceReason === undefined) expect(opened).toBeGreaterThan(0);
      const figures = [...ends].map(([end, count]) => `${count} ${end}`).toSorted();
      reportCampaign(
        `${attacks.length} hostile texts and indexes: ${figures.join(", ")}; ${names.length} runs of ` +
          `ffmpeg opened ${opened} files, none of another; ${calls} calls over the network`,
      );
    },
    CAMPAIGN_TIMEOUT_MS,
  );
});

/** A program that runs another under strace, which writes a file for each run into a directory. */
function tracedProgram(program: string, directory: string): string {
  return (
    `#!/bin/sh\nexec strace -f -qq -s 4096 -e trace=open,openat,connect -o '${directory}'/$$ ` +
    `'${program}' "$@"\n`
  );
}

function mebibytes(bytes: number | undefined): string {
  return bytes === undefined ? "unknown" : `${(bytes / 1024 ** 2).toFixed(0)} MiB`;
}

import { expect, test } from "bun:test";
import { existsSync, readdirSync, statSync } from "node:fs";
import { chmod, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { findFfmpegConfinement } from "../../src/finalize/ffmpeg-confinement.ts";
import { testFfmpeg } from "../finalize/finalizer-bed.ts";
import {
  type TrackPaths,
  litterIn,
  trackPaths,
  untilNoProcessIn,
} from "../finalize/recordings-directory.ts";
import { noStraceReason } from "./support/no-strace-reason.ts";
import { decodeFrameNumbers } from "../support/media-judge.ts";
import { totalDurationMs, streamsOf } from "../support/media-streams.ts";
import { RecordingsApi, type TrackName, trackOf } from "../support/recordings-api.ts";
import { type RecordedName, joinChunks, recordedSegment } from "../support/recorded-media.ts";
import { temporaryDirectory } from "../support/temporary-directory.ts";
import { type TrackCaptureServer, startServer } from "../support/track-capture-server.ts";
import { until } from "../support/until.ts";
import { CAMPAIGN_TIMEOUT_MS, campaign } from "./campaign.ts";
import { reportCampaign } from "./support/report-campaign.ts";
import { SeededRandom, campaignSeed } from "./support/seeded-random.ts";
import { attachFault } from "./support/traced-server.ts";

const KILLS = campaign({ short: 4, long: 50 });
const DURATION_TOLERANCE_MS = 40;
const WAIT_MS = 60_000;
/** About as long as the whole finalization of six seconds of VP8 takes. */
const FINALIZE_MS = 900;

/** When the server is killed. */
interface KillPoint {
  readonly name: string;
  /** By strace, on entering such a call that concerns the path: it is not made any more. */
  readonly calls?: string;
  readonly path?: (paths: TrackPaths) => string;
  /** The how-manieth call; 1 unless told. */
  readonly nth?: number;
  /** By a signal, once this holds. */
  readonly when?: (paths: TrackPaths, sinceStopMs: number) => boolean;
}

const RENAMES = "rename,renameat,renameat2";
const SYNCS = "fsync,fdatasync";
const REMOVALS = "rmdir,unlinkat";

const TRACED_POINTS: readonly KillPoint[] = [
  { name: "before ffmpeg", calls: "mkdir,mkdirat", path: ({ work }) => work },
  { name: "between write and sync", calls: SYNCS, path: ({ participant }) => participant },
  // strace goes by the first path of a call, which here is a random one: the first rename it is.
  { name: "between sync and rename", calls: RENAMES },
  { name: "between rename and directory sync", calls: SYNCS, path: ({ track }) => track },
  { name: "before tidying up", calls: REMOVALS, path: ({ work }) => work },
  { name: "with a manifest that says ready", when: ({ manifest }) => existsSync(manifest) },
  { name: "syncing the recording's directory", calls: SYNCS, path: ({ recording }) => recording },
  ...[2, 5, 8, 11, 14, 17, 20, 23].flatMap((nth): KillPoint[] => [
    { name: `catalogue write ${nth}`, calls: "pwrite64", path: catalogLog, nth },
  ]),
  ...[1, 2, 3, 4, 5].map((nth): KillPoint => ({
    name: `catalogue sync ${nth}`,
    calls: SYNCS,
    path: catalogLog,
    nth,
  })),
];

function catalogLog({ recording }: TrackPaths): string {
  return join(recording, "..", "catalog.sqlite-wal");
}

const WRITING: KillPoint = {
  name: "while ffmpeg writes",
  when: ({ work }) =>
    existsSync(work) && readdirSync(work).some((name) => statSync(join(work, name)).size > 0),
};

/** Every second one at a traced point, each of those once, the others spread over the run. */
function* killPoints(random: SeededRandom, traced: readonly KillPoint[]): Generator<KillPoint> {
  const left = [...traced];
  for (let i = 0; ; i += 1) {
    const next =
      i % 2 === 0 ? left.splice(random.int(0, Math.max(0, left.length - 1)), 1)[0] : undefined;
    if (next !== undefined) yield next;
    else if (i % 8 === 1) yield WRITING;
    else {
      const afterMs = random.int(0, FINALIZE_MS);
      yield { name: `after ${afterMs} ms`, when: (_, sinceStopMs) => sinceStopMs >= afterMs };
    }
  }
}

interface Expected {
  readonly numbers: readonly number[];
  readonly durationMs: number;
}

class KillBed implements AsyncDisposable {
  readonly directory: string;
  #server: TrackCaptureServer;
  #api: RecordingsApi;
  readonly #expected = new Map<RecordedName, Expected>();

  private constructor(directory: string, server: TrackCaptureServer) {
    this.directory = directory;
    this.#server = server;
    this.#api = new RecordingsApi(server.url);
  }

  static async open(directory: string): Promise<KillBed> {
    const recordingsDirectory = join(directory, "recordings");
    return new KillBed(directory, await startServer({ recordingsDirectory }));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server[Symbol.asyncDispose]();
  }

  get recordingsDirectory(): string {
    return join(this.directory, "recordings");
  }

  async restart(): Promise<void> {
    await this.#server.kill();
    await untilNoProcessIn(this.recordingsDirectory);
    await this.#server[Symbol.asyncDispose]();
    this.#server = await startServer({ recordingsDirectory: this.recordingsDirectory });
    this.#api = new RecordingsApi(this.#server.url);
  }

  /** Files that the last start says it removed. */
  halfMadeFiles(): number {
    const [, files] = /"halfMadeFiles":(\d+)/.exec(this.#server.stderr()) ?? [];
    if (files === undefined) throw new Error("The start told nothing of half-made files.");
    return Number(files);
  }

  async record(source: RecordedName): Promise<TrackName> {
    const { mimeType, chunks } = await recordedSegment(source);
    const name = {
      recordingId: await this.#api.start(),
      participantId: "ann",
      trackId: "camera",
    };
    const segmentId = crypto.randomUUID();
    const payloads = chunks.map(({ payload }) => payload);
    await this.#api.upload({ ...name, segmentId, mimeType, sequence: 0, chunks: payloads });
    await this.#api.endSegment(name.recordingId, segmentId, chunks.length);
    return name;
  }

  /** Stops the recording and kills the server at the point; false when it came too late. */
  async stopAndKill(name: TrackName, point: KillPoint): Promise<boolean> {
    const paths = trackPaths(this.recordingsDirectory, name);
    const { calls, path, nth = 1 } = point;
    const strace =
      calls === undefined
        ? undefined
        : await attachFault(this.#server.pid, this.directory, {
            calls,
            outcome: `signal=KILL:when=${nth}`,
            paths: path === undefined ? [] : [path(paths)],
          });
    const stoppedMs = performance.now();
    // A server that is killed meanwhile does not answer.
    const stopping = this.#api.stop(name.recordingId).catch(() => undefined);
    const outcome = await until(
      async () => {
        if (point.when?.(paths, performance.now() - stoppedMs) === true) return "due";
        if (!this.#isRunning()) return "killed";
        return (await this.#isReady(name)) ? "ready" : undefined;
      },
      { what: `the server is killed ${point.name}`, timeoutMs: WAIT_MS },
    );
    if (outcome === "due") await this.#server.kill();
    await stopping;
    await strace?.detach();
    return outcome !== "ready";
  }

  /** Expects the right MP4 of the recording, and nothing else. */
  async expectRight(name: TrackName, source: RecordedName): Promise<void> {
    const { state } = await this.#api.show(name.recordingId);
    // The stop itself was not answered: whoever asked for it asks again.
    if (state === "recording") await this.#api.stop(name.recordingId);
    const track = trackOf(await this.#api.ready(name.recordingId), name);
    expect(track).toMatchObject({ verdict: "complete", reason: null });
    const path = join(this.directory, "media.mp4");
    await this.#api.download(this.#api.trackUrl(name, "media.mp4"), path);
    const { numbers, durationMs } = await this.#expectedOf(source);
    expect((await decodeFrameNumbers(path)).map(({ number }) => number)).toEqual([...numbers]);
    const mediaMs = totalDurationMs(await streamsOf(path));
    expect(Math.abs(mediaMs - durationMs)).toBeLessThanOrEqual(DURATION_TOLERANCE_MS);
    expect(track.media?.bytes).toBe(Bun.file(path).size);
    expect(await litterIn(this.recordingsDirectory)).toEqual([]);
  }

  async #expectedOf(source: RecordedName): Promise<Expected> {
    const known = this.#expected.get(source);
    if (known !== undefined) return known;
    const path = join(this.directory, "source");
    await writeFile(path, joinChunks((await recordedSegment(source)).chunks));
    const frames = await decodeFrameNumbers(path);
    const expected = {
      numbers: frames.map(({ number }) => number),
      durationMs: totalDurationMs(await streamsOf(path)),
    };
    this.#expected.set(source, expected);
    return expected;
  }

  #isRunning(): boolean {
    try {
      process.kill(this.#server.pid, 0);
      return true;
    } catch {
      return false;
    }
  }

  async #isReady({ recordingId }: TrackName): Promise<boolean> {
    try {
      return (await this.#api.show(recordingId)).state === "ready";
    } catch (error) {
      // It was killed meanwhile, which the next look shows.
      if (error instanceof TypeError || (error instanceof Error && "code" in error)) return false;
      throw error;
    }
  }
}

test(
  "a server that is killed anywhere while it makes an MP4 makes it after its next start, and leaves no litter",
  async () => {
    await using directory = await temporaryDirectory();
    await using bed = await KillBed.open(directory.path);
    const random = new SeededRandom(campaignSeed());
    const straceReason = await noStraceReason();
    reportCampaign(`finalizer kills: FAULT_SEED=${random.seed}`);
    if (straceReason !== undefined) {
      reportCampaign(`finalizer kills: no traced points, ${straceReason}`);
    }
    const names = new Set<string>();
    let [kills, tooLate, killsOfRecovery, halfMadeFiles] = [0, 0, 0, 0];
    for (const point of killPoints(random, straceReason === undefined ? TRACED_POINTS : [])) {
      const source = point.when === undefined ? "h264-opus" : "vp8-opus";
      const name = await bed.record(source);
      if (await bed.stopAndKill(name, point)) {
        kills += 1;
        names.add(point.name);
      } else tooLate += 1;
      await bed.restart();
      halfMadeFiles += bed.halfMadeFiles();
      if (random.chance(0.2)) {
        // The moment of the second kill, within the recovery.
        await Bun.sleep(random.int(0, 300));
        await bed.restart();
        killsOfRecovery += 1;
        halfMadeFiles += bed.halfMadeFiles();
      }
      try {
        await bed.expectRight(name, source);
      } catch (error) {
        throw new Error(`Killed ${point.name}`, { cause: error });
      }
      if (kills >= KILLS) break;
    }
    reportCampaign(
      `${kills} kills of the finalizer at ${names.size} points, ${killsOfRecovery} of its recovery, ` +
        `${tooLate} too late: every MP4 right, ${halfMadeFiles} half-made files removed, no litter`,
    );
  },
  CAMPAIGN_TIMEOUT_MS,
);

test(
  "ffmpeg ends with a server that is killed, also when it does not read its input",
  async () => {
    const { setpriv } = await findFfmpegConfinement();
    if (setpriv === undefined) {
      reportCampaign("skipped: setpriv cannot bind a child to its parent here");
      return;
    }
    await using directory = await temporaryDirectory();
    const { path: ffmpeg } = await testFfmpeg();
    const path = join(directory.path, "ffmpeg");
    const ranPath = join(directory.path, "ran");
    // Tells its version as ffmpeg does; whatever else it is asked for never ends.
    await writeFile(
      path,
      `#!/bin/sh\ncase "$*" in *-version*) exec '${ffmpeg}' "$@";; esac\n` +
        `echo $$ > '${ranPath}.new'; mv '${ranPath}.new' '${ranPath}'\nexec sleep 600\n`,
    );
    await chmod(path, 0o755);
    const recordingsDirectory = join(directory.path, "recordings");
    await using server = await startServer({ recordingsDirectory, env: { FFMPEG_PATH: path } });
    const api = new RecordingsApi(server.url);
    const { mimeType, chunks } = await recordedSegment("h264-opus");
    const name = { recordingId: await api.start(), participantId: "ann", trackId: "camera" };
    const segmentId = crypto.randomUUID();
    const payloads = chunks.map(({ payload }) => payload);
    await api.upload({ ...name, segmentId, mimeType, sequence: 0, chunks: payloads });
    await api.endSegment(name.recordingId, segmentId, chunks.length);
    await api.stop(name.recordingId);
    await until(() => existsSync(ranPath) || undefined, {
      what: "ffmpeg's stand-in runs",
      timeoutMs: WAIT_MS,
    });
    const pid = Number(await Bun.file(ranPath).text());
    expect(await Bun.file(`/proc/${pid}/cmdline`).text()).toContain("sleep");
    await server.kill();
    await until(() => !existsSync(`/proc/${pid}`) || undefined, {
      what: "ffmpeg's stand-in is gone",
      timeoutMs: WAIT_MS,
    });
  },
  CAMPAIGN_TIMEOUT_MS,
);

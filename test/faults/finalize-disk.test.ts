import { describe, expect, test } from "bun:test";
import { chmod, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { manifestSchema } from "../../src/contract/manifest.ts";
import { testFfmpeg } from "../finalize/finalizer-bed.ts";
import {
  type TrackPaths,
  litterIn,
  trackPaths,
  untilNoProcessIn,
} from "../finalize/recordings-directory.ts";
import { noStraceReason } from "./support/no-strace-reason.ts";
import { decodeFrameNumbers } from "../support/media-judge.ts";
import { RecordingsApi, type TrackName, trackOf } from "../support/recordings-api.ts";
import { recordedSegment } from "../support/recorded-media.ts";
import { temporaryDirectory } from "../support/temporary-directory.ts";
import { startServer } from "../support/track-capture-server.ts";
import { until } from "../support/until.ts";
import { reportCampaign } from "./support/report-campaign.ts";
import { attachFault } from "./support/traced-server.ts";

const TEST_TIMEOUT_MS = 120_000;
const WAIT_MS = 60_000;
/** Three tries at short intervals. */
const ENV = { FINALIZE_RETRY_DELAY_MS: "20" };

interface DiskFault {
  readonly name: string;
  readonly calls: string;
  readonly errno: string;
  /** Only calls whose first path, or whose file, is this one. */
  readonly path?: (paths: TrackPaths) => string;
  readonly reason: RegExp;
}

const FAULTS: readonly DiskFault[] = [
  {
    name: "no room for the work directory",
    calls: "mkdir,mkdirat",
    errno: "ENOSPC",
    path: ({ work }) => work,
    reason: /No space is left to make the MP4 \(ENOSPC\)/,
  },
  {
    name: "a sync that fails",
    calls: "fsync",
    errno: "EIO",
    path: ({ participant }) => participant,
    reason: /The disk failed to make the MP4 \(EIO\)/,
  },
  {
    name: "no room for the new name",
    calls: "rename,renameat,renameat2",
    errno: "ENOSPC",
    reason: /No space is left to make the MP4 \(ENOSPC\)/,
  },
  {
    name: "a directory sync that fails",
    calls: "fsync",
    errno: "EIO",
    path: ({ track }) => track,
    reason: /The disk failed to make the MP4 \(EIO\)/,
  },
];

async function record(
  api: RecordingsApi,
  segment: "h264-opus" | "vp8-opus" = "h264-opus",
): Promise<TrackName> {
  const { mimeType, chunks } = await recordedSegment(segment);
  const name = { recordingId: await api.start(), participantId: "ann", trackId: "camera" };
  const segmentId = crypto.randomUUID();
  const payloads = chunks.map(({ payload }) => payload);
  await api.upload({ ...name, segmentId, mimeType, sequence: 0, chunks: payloads });
  await api.endSegment(name.recordingId, segmentId, chunks.length);
  return name;
}

async function untilFailed(api: RecordingsApi, { recordingId }: TrackName): Promise<string> {
  return until(
    async () => {
      const { state, reason } = await api.show(recordingId);
      expect(state).not.toBe("ready");
      return state === "failed" ? (reason ?? "") : undefined;
    },
    { what: "the recording failed", timeoutMs: WAIT_MS },
  );
}

/** A retry, as an operator asks for it, makes the MP4; nothing else is left. */
async function expectRetried(
  api: RecordingsApi,
  name: TrackName,
  recordingsDirectory: string,
  pictures = 180,
): Promise<void> {
  const answer = await fetch(`${api.serverUrl}/api/recordings/${name.recordingId}/retry`, {
    method: "POST",
  });
  expect(answer.ok).toBeTrue();
  await until(async () => (await api.show(name.recordingId)).state === "ready" || undefined, {
    what: "the retry made the recording ready",
    timeoutMs: WAIT_MS,
  });
  const track = trackOf(await api.ready(name.recordingId), name);
  expect(track).toMatchObject({ verdict: "complete", reason: null });
  const { media, manifest } = trackPaths(recordingsDirectory, name);
  expect(await decodeFrameNumbers(media)).toHaveLength(pictures);
  const { recording } = manifestSchema.parse(await Bun.file(manifest).json());
  expect(recording).toMatchObject({ state: "ready", reason: null });
  expect(await litterIn(recordingsDirectory)).toEqual([]);
}

describe("a disk that fails while an MP4 is published", () => {
  test.each(FAULTS)(
    "$name: the track fails with the reason, nothing is left, and a retry succeeds",
    async ({ calls, errno, path, reason }) => {
      const straceReason = await noStraceReason();
      if (straceReason !== undefined) {
        reportCampaign(`skipped: ${straceReason}`);
        return;
      }
      await using directory = await temporaryDirectory();
      await using server = await startServer({ env: ENV });
      const api = new RecordingsApi(server.url);
      const name = await record(api);
      const paths = trackPaths(server.recordingsDirectory, name);
      const strace = await attachFault(server.pid, directory.path, {
        calls,
        outcome: `error=${errno}`,
        paths: path === undefined ? [] : [path(paths)],
      });
      try {
        await api.stop(name.recordingId);
        const { state, reason: trackReason } = await until(
          async () => {
            const track = trackOf(await api.show(name.recordingId), name);
            return track.state === "failed" ? track : undefined;
          },
          { what: "the track failed", timeoutMs: WAIT_MS },
        );
        expect(state).toBe("failed");
        expect(trackReason).toMatch(reason);
      } finally {
        await strace.detach();
      }
      expect(await untilFailed(api, name)).toMatch(reason);
      expect(await litterIn(server.recordingsDirectory)).toEqual([]);
      await expectRetried(api, name, server.recordingsDirectory);
    },
    TEST_TIMEOUT_MS,
  );

  test(
    "no room for what ffmpeg writes: the track fails with its words, and a retry succeeds",
    async () => {
      const straceReason = await noStraceReason();
      if (straceReason !== undefined) {
        reportCampaign(`skipped: ${straceReason}`);
        return;
      }
      await using directory = await temporaryDirectory();
      const { path: ffmpeg } = await testFfmpeg();
      const path = join(directory.path, "ffmpeg");
      const fullPath = join(directory.path, "full");
      // ffmpeg itself, whose every write to a file finds no room while the mark is there.
      await writeFile(
        path,
        `#!/bin/sh\nif [ -e '${fullPath}' ]; then case "$*" in *pipe:1*) exec strace -f -qq -o /dev/null ` +
          `-e trace=write -e inject=write:error=ENOSPC:when=2+ '${ffmpeg}' "$@";; esac; fi\n` +
          `exec '${ffmpeg}' "$@"\n`,
      );
      await chmod(path, 0o755);
      await writeFile(fullPath, "");
      await using server = await startServer({ env: { ...ENV, FFMPEG_PATH: path } });
      const api = new RecordingsApi(server.url);
      // Only ffmpeg can encode: nothing else may bring an MP4 in its place.
      const name = await record(api, "vp8-opus");
      await api.stop(name.recordingId);
      expect(await untilFailed(api, name)).toContain("ffmpeg ended with");
      await untilNoProcessIn(server.recordingsDirectory);
      expect(await litterIn(server.recordingsDirectory)).toEqual([]);
      await Bun.file(fullPath).delete();
      await expectRetried(api, name, server.recordingsDirectory, 182);
    },
    TEST_TIMEOUT_MS,
  );
});

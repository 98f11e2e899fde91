import { expect, test } from "bun:test";
import { chmod, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { RawConnection } from "../http/raw-connection.ts";
import { rawHead, rawUpload } from "../http/raw-upload.ts";
import { systemFfmpegLookup, resolveFfmpeg } from "../../src/process/ffmpeg-binary.ts";
import { recordedSegment } from "../support/recorded-media.ts";
import { RecordingsApi } from "../support/recordings-api.ts";
import { temporaryDirectory } from "../support/temporary-directory.ts";
import { startServer } from "../support/track-capture-server.ts";
import { until } from "../support/until.ts";
import { campaign, CAMPAIGN_TIMEOUT_MS } from "./campaign.ts";

const PARTICIPANTS = 20;
const CHUNK_BYTES = 64 * 1024;
const EBML_MAGIC = [0x1a, 0x45, 0xdf, 0xa3] as const;
const SHUTDOWN_TIMEOUT_MS = 2_000;
/** Beside that: 3 s until ffmpeg is killed, the last syncs, and a busy machine. */
const REST_MS_MAX = 12_000;
const WAIT_MS = 30_000;

/** A chunk whose every byte tells whose it is and which. */
function payloadOf(participant: number, sequence: number): Uint8Array<ArrayBuffer> {
  const payload = new Uint8Array(CHUNK_BYTES).fill(sequence % 251);
  payload.set(sequence === 0 ? EBML_MAGIC : [participant]);
  return payload;
}

/** An uploader that goes on until the server is gone, and what became of its requests. */
interface Uploader {
  readonly participant: number;
  readonly segmentId: string;
  /** Chunks that were acknowledged: all before this sequence. */
  acknowledged: number;
  readonly statuses: Set<number>;
  /** Answers with 503 that did not say when to come again. */
  withoutRetryAfter: number;
}

async function uploadUntilGone(
  serverUrl: string,
  recordingId: string,
  uploader: Uploader,
): Promise<void> {
  for (;;) {
    const { head, body } = rawUpload({
      recordingId,
      participantId: `participant ${uploader.participant}`,
      segmentId: uploader.segmentId,
      sequence: uploader.acknowledged,
      payload: payloadOf(uploader.participant, uploader.acknowledged),
    });
    const headers = Object.fromEntries(
      head
        .trimEnd()
        .split("\r\n")
        .slice(1)
        .map((line) => line.split(": ", 2)),
    );
    try {
      const answer = await fetch(`${serverUrl}/api/recordings/${recordingId}/chunks`, {
        method: "POST",
        headers,
        body,
      });
      uploader.statuses.add(answer.status);
      if (answer.status === 200) uploader.acknowledged += 1;
      if (answer.status === 503) {
        if (!answer.headers.has("retry-after")) uploader.withoutRetryAfter += 1;
        await Bun.sleep(100);
      }
      await answer.bytes();
    } catch {
      // Refused or reset: the server is gone.
      return;
    }
  }
}

/**
 * An ffmpeg that tells its version and else neither ends nor minds SIGTERM; it writes its number into a
 * file.
 */
async function stubbornFfmpeg(directory: string): Promise<{ path: string; pidPath: string }> {
  const { path: real } = await resolveFfmpeg(
    systemFfmpegLookup({ FFMPEG_PATH: "", PATH: process.env["PATH"] }),
  );
  const path = join(directory, "ffmpeg");
  const pidPath = join(directory, "pid");
  // The stand-in must stay one process, so that nothing of it is left when it is killed.
  const script = `#!/bin/sh
case "$*" in *-version*) exec "${real}" "$@" ;; esac
trap '' TERM
echo $$ > "${pidPath}.tmp"
mv "${pidPath}.tmp" "${pidPath}"
exec sleep 600
`;
  await writeFile(path, script);
  await chmod(path, 0o755);
  return { path, pidPath };
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

/** Stops a recording that ffmpeg never finishes, and gives the number of the ffmpeg that works on it. */
async function finalizeWithoutEnd(api: RecordingsApi, pidPath: string): Promise<number> {
  const { mimeType, chunks } = await recordedSegment("vp8-opus");
  const recordingId = await api.start();
  const segmentId = crypto.randomUUID();
  const payloads = chunks.map(({ payload }) => payload);
  const track = { recordingId, participantId: "ada", trackId: "camera" };
  await api.upload({ ...track, segmentId, sequence: 0, mimeType, chunks: payloads });
  await api.endSegment(recordingId, segmentId, chunks.length);
  await api.stop(recordingId);
  await until(async () => (await Bun.file(pidPath).exists()) || undefined, {
    what: "ffmpeg's stand-in runs",
    timeoutMs: WAIT_MS,
  });
  return Number(await Bun.file(pidPath).text());
}

test(
  "SIGTERM under upload loses nothing that was acknowledged, tells the others to come again, and ends in time",
  async () => {
    const rounds = campaign({ short: 1, long: 50 });
    await using directory = await temporaryDirectory();
    const recordingsDirectory = join(directory.path, "recordings");
    const { path: ffmpegPath, pidPath } = await stubbornFfmpeg(directory.path);
    let [acknowledged, slowestMs] = [0, 0];
    const statuses = new Set<number>();
    for (let round = 0; round < rounds; round += 1) {
      await Bun.$`rm -f ${pidPath}`;
      const uploaders = Array.from({ length: PARTICIPANTS }, (_, participant) => ({
        participant,
        segmentId: crypto.randomUUID(),
        acknowledged: 0,
        statuses: new Set<number>(),
        withoutRetryAfter: 0,
      }));
      let recordingId: string;
      {
        await using server = await startServer({
          recordingsDirectory,
          env: { FFMPEG_PATH: ffmpegPath, SHUTDOWN_TIMEOUT_MS: String(SHUTDOWN_TIMEOUT_MS) },
        });
        const api = new RecordingsApi(server.url);
        const ffmpegPid = await finalizeWithoutEnd(api, pidPath);
        recordingId = await api.start();
        const hanging = await RawConnection.open(server.url);
        hanging.send(rawHead(recordingId, "Content-Length: 3000000"), "the rest never comes");
        const uploads = uploaders.map((uploader) =>
          uploadUntilGone(server.url, recordingId, uploader),
        );
        await until(() => uploaders.every((uploader) => uploader.acknowledged > 2) || undefined, {
          what: "every participant has chunks",
          timeoutMs: WAIT_MS,
        });
        const askedAtMs = performance.now();
        expect(await server.stop()).toBe(0);
        const tookMs = performance.now() - askedAtMs;
        slowestMs = Math.max(slowestMs, tookMs);
        expect(tookMs).toBeLessThan(SHUTDOWN_TIMEOUT_MS + REST_MS_MAX);
        await Promise.all(uploads);
        await hanging.closed;
        expect(isRunning(ffmpegPid)).toBe(false);
      }
      for (const uploader of uploaders) {
        for (const status of uploader.statuses) statuses.add(status);
        expect(uploader.withoutRetryAfter).toBe(0);
        acknowledged += uploader.acknowledged;
      }

      await using again = await startServer({
        recordingsDirectory,
        env: { FFMPEG_PATH: ffmpegPath },
      });
      const api = new RecordingsApi(again.url);
      for (const { participant, acknowledged: count, segmentId } of uploaders) {
        const name = { recordingId, participantId: `participant ${participant}` };
        const source = api.trackUrl({ ...name, trackId: "camera" }, "source");
        const bytes = await (await fetch(source)).bytes();
        const expected = Array.from({ length: count }, (_, sequence) =>
          payloadOf(participant, sequence),
        );
        const { nextSequence } = await api.segmentStatus(recordingId, segmentId);
        // The answer to the last one may have been lost with the connection.
        expect(nextSequence - count).toBeWithin(0, 2);
        const stored = Buffer.from(bytes.subarray(0, count * CHUNK_BYTES));
        expect(stored.equals(Buffer.concat(expected))).toBe(true);
      }
    }
    expect([...statuses].toSorted((a, b) => a - b)).toEqual([200, 503]);
    process.stderr.write(
      `shutdown: ${rounds} times SIGTERM under ${PARTICIPANTS} participants: ${acknowledged} chunks acknowledged, 0 lost, ` +
        `ended within ${slowestMs.toFixed(0)} ms\n`,
    );
  },
  CAMPAIGN_TIMEOUT_MS,
);

test(
  "asked a second time the server ends at once, and takes its ffmpeg along",
  async () => {
    await using directory = await temporaryDirectory();
    const { path, pidPath } = await stubbornFfmpeg(directory.path);
    await using server = await startServer({
      env: { FFMPEG_PATH: path, SHUTDOWN_TIMEOUT_MS: "60000" },
    });
    const api = new RecordingsApi(server.url);
    const ffmpegPid = await finalizeWithoutEnd(api, pidPath);
    const hanging = await RawConnection.open(server.url);
    hanging.send(rawHead(await api.start(), "Content-Length: 3000000"), "the rest never comes");
    // An answer on another connection: the server has read what came before it.
    await api.list();
    process.kill(server.pid, "SIGINT");
    await until(() => server.stderr().includes('"stopping"') || undefined, {
      what: "the server has heard the first signal",
      timeoutMs: WAIT_MS,
    });
    // While it ends it lives, and takes nothing new.
    expect((await fetch(`${server.url}/healthz`)).status).toBe(200);
    const refused = await fetch(`${server.url}/api/recordings`, {
      method: "POST",
      headers: { origin: "http://localhost:5173" },
    });
    expect([refused.status, refused.headers.get("retry-after")]).toEqual([503, "2"]);
    expect(refused.headers.get("access-control-allow-origin")).toBe("http://localhost:5173");
    // Two signals at once are one request, so it may take more than one to be heard.
    const askedAgain = setInterval(() => process.kill(server.pid, "SIGINT"), 400);
    await hanging.closed;
    clearInterval(askedAgain);
    expect(await server.stop()).toBe(130);
    await until(() => !isRunning(ffmpegPid) || undefined, {
      what: "the ffmpeg is gone too",
      timeoutMs: WAIT_MS,
    });
  },
  CAMPAIGN_TIMEOUT_MS,
);

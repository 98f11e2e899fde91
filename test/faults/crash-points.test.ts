import { expect } from "bun:test";
import { existsSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { participantIdSchema, recordingIdSchema, trackIdSchema } from "../../src/contract/ids.ts";
import { RecordingsLayout } from "../../src/storage/layout.ts";
import { RecordingsApi, trackOf } from "../support/recordings-api.ts";
import { recordedSegment } from "../support/recorded-media.ts";
import { temporaryDirectory } from "../support/temporary-directory.ts";
import { startServer } from "../support/track-capture-server.ts";
import { until } from "../support/until.ts";
import { CAMPAIGN_TIMEOUT_MS } from "./campaign.ts";
import { AcknowledgementLedger } from "./support/acknowledgement-ledger.ts";
import { DurabilityModel } from "./support/durability-model.ts";
import {
  placesOf,
  RENAME_CALLS,
  type SegmentPlaces,
  SYNC_CALLS,
  WRITE_CALLS,
} from "./support/file-calls.ts";
import { JudgedMedia } from "./support/judged-media.ts";
import { persistently, type SegmentUpload } from "./support/persistent-uploader.ts";
import { testWithStrace } from "./support/system-tools.ts";
import { attachFault, startTracedServer } from "./support/traced-server.ts";

const test = testWithStrace();

const KILL_TIMEOUT_MS = 30_000;

/** Posters and waveforms are made after a track is ready. */
const EXTRAS_TIMEOUT_MS = 30_000;

interface KillPoint {
  readonly name: string;
  readonly calls: string;
  readonly paths: (places: SegmentPlaces & { readonly track: string }) => string[];
  /** Names that were made, but whose directory was not synced. */
  readonly doubtfulNames?: (places: SegmentPlaces) => string[];
}

async function uploadOf(recordingId: string): Promise<SegmentUpload> {
  const { mimeType, chunks } = await recordedSegment("h264-opus");
  return {
    recordingId,
    participantId: "ann",
    trackId: "camera",
    segmentId: crypto.randomUUID(),
    mimeType,
    chunks: chunks.map(({ payload }) => payload),
  };
}

function allPlaces(recordingsDirectory: string, upload: SegmentUpload) {
  const key = {
    recordingId: recordingIdSchema.parse(upload.recordingId),
    participantId: participantIdSchema.parse(upload.participantId),
    trackId: trackIdSchema.parse(upload.trackId),
  };
  const layout = new RecordingsLayout(recordingsDirectory);
  return {
    ...placesOf(recordingsDirectory, upload),
    track: layout.trackDirectory(key),
  };
}

const isGone = (pid: number): boolean => {
  try {
    process.kill(pid, 0);
    return false;
  } catch {
    return true;
  }
};

/** Asks for what reaches the point; the answer, if there is one, is taken as it comes. */
async function untilKilled(pid: number, ask: () => Promise<unknown>): Promise<void> {
  const answer = ask().catch((error: unknown) => error);
  await until(() => isGone(pid) || undefined, {
    what: "the server reached the system call at which it is killed",
    timeoutMs: KILL_TIMEOUT_MS,
  });
  await answer;
}

const UPLOAD_POINTS: readonly (KillPoint & { readonly acknowledgedBefore: number })[] = [
  {
    name: "before the write of a chunk",
    calls: WRITE_CALLS,
    paths: ({ chunkFile }) => [chunkFile],
    acknowledgedBefore: 2,
  },
  {
    name: "between the write of a chunk and its sync",
    calls: SYNC_CALLS,
    paths: ({ chunkFile }) => [chunkFile],
    acknowledgedBefore: 2,
  },
  {
    name: "before the first sync of a new chunk file",
    calls: SYNC_CALLS,
    paths: ({ chunkFile, newChunkFile }) => [chunkFile, newChunkFile],
    acknowledgedBefore: 0,
  },
  {
    name: "before the rename of a new chunk file",
    calls: RENAME_CALLS,
    paths: ({ chunkFile, newChunkFile }) => [chunkFile, newChunkFile],
    acknowledgedBefore: 0,
  },
  {
    name: "between the rename of a chunk file and the sync of its directory",
    calls: SYNC_CALLS,
    paths: ({ segments }) => [segments],
    doubtfulNames: ({ chunkFile }) => [chunkFile],
    acknowledgedBefore: 0,
  },
  {
    name: "before the sync of the directory that a recording's directory is in",
    calls: SYNC_CALLS,
    paths: ({ root }) => [root],
    doubtfulNames: ({ recording, segments }) => [recording, segments],
    acknowledgedBefore: 0,
  },
];

test.each(UPLOAD_POINTS)(
  "killed $name, a server makes durable what it found before it acknowledges it",
  async ({ calls, paths, acknowledgedBefore, doubtfulNames }) => {
    await using directory = await temporaryDirectory();
    const recordingsDirectory = join(directory.path, "recordings");
    const ledger = new AcknowledgementLedger();
    await using server = await startServer({ recordingsDirectory });
    const api = new RecordingsApi(server.url);
    const upload = await uploadOf(await api.start());
    const places = allPlaces(recordingsDirectory, upload);
    const send = async (client: RecordingsApi, from: number, to?: number) => {
      const request = { ...upload, sequence: from, chunks: upload.chunks.slice(from, to) };
      ledger.record(request, request.chunks, await client.upload(request));
    };
    if (acknowledgedBefore > 0) await send(api, 0, acknowledgedBefore);
    await attachFault(server.pid, directory.path, {
      calls,
      outcome: "signal=KILL",
      paths: paths(places),
    });
    await untilKilled(server.pid, () => send(api, acknowledgedBefore, acknowledgedBefore + 2));
    expect(await ledger.check(recordingsDirectory)).toEqual([]);
    expect(ledger.count).toBe(acknowledgedBefore);

    await using traced = await startTracedServer(directory.path, { recordingsDirectory });
    const model = new DurabilityModel(
      recordingsDirectory,
      new Map([[upload.segmentId, upload.chunks]]),
    );
    model.distrustNames(doubtfulNames?.(places) ?? []);
    await model.distrustBytes(places.chunkFile, false);
    const again = new RecordingsApi(traced.server.url);
    await send(again, acknowledgedBefore, acknowledgedBefore + 2);
    await send(again, 0);
    await traced.server.kill();
    const checked = model.run(await traced.calls());
    expect(checked.early).toEqual([]);
    expect(checked.chunks).toBe(2 + upload.chunks.length);
    expect(await ledger.check(recordingsDirectory)).toEqual([]);
    expect(traced.server.stderr()).toContain('"msg":"recovered"');
  },
  CAMPAIGN_TIMEOUT_MS,
);

test(
  "killed between a write and its sync, a server whose disk fails while it recovers writes anew what it acknowledges",
  async () => {
    await using directory = await temporaryDirectory();
    const recordingsDirectory = join(directory.path, "recordings");
    await using server = await startServer({ recordingsDirectory });
    const api = new RecordingsApi(server.url);
    const upload = await uploadOf(await api.start());
    const { chunkFile } = allPlaces(recordingsDirectory, upload);
    await api.upload({ ...upload, sequence: 0, chunks: upload.chunks.slice(0, 2) });
    await attachFault(server.pid, directory.path, {
      calls: SYNC_CALLS,
      outcome: "signal=KILL",
      paths: [chunkFile],
    });
    const late = { ...upload, sequence: 2, chunks: upload.chunks.slice(2, 4) };
    await untilKilled(server.pid, () => api.upload(late));

    // The first sync of each thread fails; what it was for may be lost, whatever a later one says.
    const faults = ["fdatasync:error=EIO:when=1"];
    await using traced = await startTracedServer(directory.path, { recordingsDirectory }, faults);
    const model = new DurabilityModel(
      recordingsDirectory,
      new Map([[upload.segmentId, upload.chunks]]),
    );
    await model.distrustBytes(chunkFile, false);
    const again = new RecordingsApi(traced.server.url);
    await persistently(() => again.upload(late));
    await traced.server.kill();
    const calls = await traced.calls();
    expect(calls.some(({ injected }) => injected)).toBe(true);
    const checked = model.run(calls);
    expect(checked.early).toEqual([]);
    expect(checked.chunks).toBe(late.chunks.length);
  },
  CAMPAIGN_TIMEOUT_MS,
);

/** Uploads a whole segment and ends it: its recording can be stopped at once. */
async function endedUpload(api: RecordingsApi): ReturnType<typeof uploadOf> {
  const upload = await uploadOf(await api.start());
  await api.upload({ ...upload, sequence: 0 });
  await api.endSegment(upload.recordingId, upload.segmentId, upload.chunks.length);
  return upload;
}

const FINALIZE_POINTS: readonly KillPoint[] = [
  // No other file is renamed before it.
  { name: "before the rename of an MP4", calls: RENAME_CALLS, paths: () => [] },
  {
    name: "between the rename of an MP4 and the sync of its directory",
    calls: SYNC_CALLS,
    paths: ({ track }) => [track],
  },
];

test.each(FINALIZE_POINTS)(
  "killed $name, a server publishes the right MP4 durably after its next start",
  async ({ calls, paths }) => {
    await using directory = await temporaryDirectory();
    const recordingsDirectory = join(directory.path, "recordings");
    await using server = await startServer({ recordingsDirectory });
    const api = new RecordingsApi(server.url);
    const upload = await endedUpload(api);
    const places = allPlaces(recordingsDirectory, upload);
    await attachFault(server.pid, directory.path, {
      calls,
      outcome: "signal=KILL",
      paths: paths(places),
    });
    await untilKilled(server.pid, () => api.stop(upload.recordingId));

    await using traced = await startTracedServer(directory.path, { recordingsDirectory });
    const again = new RecordingsApi(traced.server.url);
    await again.ready(upload.recordingId);
    await new JudgedMedia(directory.path).expectWhole(again, upload);
    expect(trackOf(await again.show(upload.recordingId), upload).verdict).toBe("complete");
    const all = "media.mp4 poster.jpg waveform.json";
    await until(
      async () => (await readdir(places.track)).toSorted().join(" ") === all || undefined,
      {
        what: `there is nothing but ${all}`,
        timeoutMs: EXTRAS_TIMEOUT_MS,
      },
    );
    await traced.server.stop();
    const model = new DurabilityModel(recordingsDirectory, new Map());
    expect(model.run(await traced.calls()).early).toEqual([]);
  },
  CAMPAIGN_TIMEOUT_MS,
);

const DELETE_POINTS: readonly KillPoint[] = [
  {
    name: "before the removal of a chunk file",
    calls: "unlink,unlinkat",
    paths: ({ chunkFile, segments }) => [chunkFile, segments],
  },
  {
    name: "between the removal of a recording and the sync of its directory",
    calls: SYNC_CALLS,
    paths: ({ root }) => [root],
  },
];

test.each(DELETE_POINTS)(
  "killed $name, a server finishes the deletion at its next start",
  async ({ calls, paths }) => {
    await using directory = await temporaryDirectory();
    const recordingsDirectory = join(directory.path, "recordings");
    await using server = await startServer({ recordingsDirectory });
    const api = new RecordingsApi(server.url);
    const upload = await endedUpload(api);
    const places = allPlaces(recordingsDirectory, upload);
    await api.stop(upload.recordingId);
    await api.ready(upload.recordingId);
    const url = `/api/recordings/${upload.recordingId}`;
    await attachFault(server.pid, directory.path, {
      calls,
      outcome: "signal=KILL",
      paths: paths(places),
    });
    await untilKilled(server.pid, () => fetch(`${server.url}${url}`, { method: "DELETE" }));

    await using restarted = await startServer({ recordingsDirectory });
    const shown = await persistently(() => fetch(`${restarted.url}${url}`));
    expect(shown.status).toBe(404);
    expect(existsSync(places.recording)).toBe(false);
    const late = await fetch(`${restarted.url}${url}/chunks`, { method: "POST", body: "" });
    expect(late.ok).toBe(false);
  },
  CAMPAIGN_TIMEOUT_MS,
);

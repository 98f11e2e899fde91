import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { directoryNameOf } from "../../src/storage/layout.ts";
import type { TrackName } from "../support/recordings-api.ts";
import { until } from "../support/until.ts";

const PROCESS_END_TIMEOUT_MS = 10_000;

/** Where the server keeps what concerns a track. */
export interface TrackPaths {
  readonly recording: string;
  readonly participant: string;
  readonly track: string;
  readonly media: string;
  readonly work: string;
  readonly manifest: string;
}

/** The paths of a track in a directory of recordings. */
export function trackPaths(recordingsDirectory: string, name: TrackName): TrackPaths {
  const recording = join(recordingsDirectory, name.recordingId);
  const participant = join(recording, "tracks", directoryNameOf(name.participantId));
  const track = join(participant, directoryNameOf(name.trackId));
  return {
    recording,
    participant,
    track,
    media: join(track, "media.mp4"),
    work: join(track, "finalizing"),
    manifest: join(recording, "manifest.json"),
  };
}

/**
 * What a directory of finished recordings holds beside what it should hold. Posters and waveforms, which
 * nothing waits for, are given time to get their names.
 */
export async function litterIn(recordingsDirectory: string): Promise<string[]> {
  const deadlineMs = performance.now() + EXTRAS_TIMEOUT_MS;
  for (;;) {
    const litter = await unexpectedIn(recordingsDirectory);
    const isBeingMade = litter.length > 0 && litter.every((path) => HALF_MADE_EXTRA.test(path));
    if (!isBeingMade || performance.now() > deadlineMs) return litter;
    await Bun.sleep(EXTRAS_POLL_MS);
  }
}

async function unexpectedIn(recordingsDirectory: string): Promise<string[]> {
  const entries = await readdir(recordingsDirectory, { recursive: true, withFileTypes: true });
  return entries
    .map((entry) => join(entry.parentPath, entry.name).slice(recordingsDirectory.length + 1))
    .filter((path) => !EXPECTED.some((pattern) => pattern.test(path)));
}

const EXTRAS_TIMEOUT_MS = 20_000;
const EXTRAS_POLL_MS = 50;
const HALF_MADE_EXTRA = /^extras\.tmp(\/|$)/;

const EXPECTED = [
  /^catalog\.sqlite(-wal|-shm)?$/,
  /^server\.lock(-journal)?$/,
  /^[0-9a-f-]{36}$/,
  /^[0-9a-f-]{36}\/manifest\.json$/,
  /^[0-9a-f-]{36}\/segments(\/[0-9a-f-]{36}\.chunks)?$/,
  /^[0-9a-f-]{36}\/tracks(\/[\w-]+){0,2}$/,
  /^[0-9a-f-]{36}\/tracks\/[\w-]+\/[\w-]+\/media\.mp4$/,
  /^[0-9a-f-]{36}\/tracks\/[\w-]+\/[\w-]+\/(poster\.jpg|waveform\.json)$/,
  /^[0-9a-f-]{36}\/exports(\/[0-9a-f-]{36}(\/[^/]+)?)?$/,
];

/** Waits until no process but the server's own has a path of the directory among its arguments. */
export async function untilNoProcessIn(directory: string): Promise<void> {
  await until(async () => (await commandsWith(directory)).length === 0 || undefined, {
    what: `no process works in ${directory}`,
    timeoutMs: PROCESS_END_TIMEOUT_MS,
  });
}

async function commandsWith(text: string): Promise<string[]> {
  if (process.platform !== "linux") return [];
  const found: string[] = [];
  for (const name of await readdir("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    const command = await Bun.file(`/proc/${name}/cmdline`)
      .text()
      // It ended meanwhile.
      .catch(() => "");
    if (command.includes(text) && !command.startsWith("strace\0")) found.push(command);
  }
  return found;
}

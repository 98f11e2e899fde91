import { expect, test } from "bun:test";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { RecordingsApi } from "./support/recordings-api.ts";
import { joinChunks, recordedSegment } from "./support/recorded-media.ts";
import { temporaryDirectory } from "./support/temporary-directory.ts";
import { startServer } from "./support/track-capture-server.ts";

const projectRoot = fileURLToPath(new URL("..", import.meta.url));

/** Runs the server to its end, for starts that are to fail. */
async function failedStart(env: Record<string, string>) {
  await using directory = await temporaryDirectory();
  const child = Bun.spawn([process.execPath, "src/main.ts"], {
    cwd: projectRoot,
    env: { ...process.env, PORT: "0", RECORDINGS_DIR: join(directory.path, "r"), ...env },
    stdout: "pipe",
    stderr: "pipe",
  });
  const [exitCode, stdout, stderr] = await Promise.all([
    child.exited,
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
  ]);
  // The log's lines are JSON; what is for the operator is not.
  const lines = stderr.split("\n").filter((line) => line !== "" && !line.startsWith("{"));
  return { exitCode, stdout, lines };
}

test("a start that cannot be says why in one line", async () => {
  await using other = await startServer();
  const cases: [env: Record<string, string>, reason: string][] = [
    [{ PORT: "eighty" }, 'PORT="eighty"'],
    [{ HOST: "0.0.0.0" }, "no access keys yet"],
    [{ PORT: new URL(other.url).port }, "is in use"],
    [{ FFMPEG_PATH: "/nowhere/ffmpeg" }, "/nowhere/ffmpeg"],
    [{ NAMES_FONT_PATH: "/nowhere/font.ttf" }, "/nowhere/font.ttf"],
    [{ NAMES_FONT_PATH: import.meta.path }, "no font"],
    [{ RECORDINGS_DIR: "/proc/nowhere" }, "RECORDINGS_DIR"],
    [{ RECORDINGS_DIR: other.recordingsDirectory }, "in use"],
  ];
  for (const [env, reason] of cases) {
    const { exitCode, stdout, lines } = await failedStart(env);
    expect({ env, exitCode, stdout, lines }).toMatchObject({ exitCode: 1, stdout: "" });
    expect(lines).toEqual([expect.stringContaining(reason)]);
  }
}, 60_000);

test("stdout holds the URL in one line, and nothing else", async () => {
  await using server = await startServer();
  expect(server.stdout()).toMatch(/^[^\n]*http:\/\/127\.0\.0\.1:\d+\n$/);
});

test.each(["SIGTERM", "SIGINT"] as const)(
  "%s ends the server with 0, and leaves nothing in the temporary folder",
  async (signal) => {
    await using temporary = await temporaryDirectory();
    await using server = await startServer({ env: { TMPDIR: temporary.path } });
    process.kill(server.pid, signal);
    expect(await server.stop()).toBe(0);
    expect(await readdir(temporary.path)).toEqual([]);
    expect(fetch(server.url)).rejects.toThrow();
  },
);

test("a request in flight is answered before the server ends", async () => {
  await using server = await startServer();
  const api = new RecordingsApi(server.url);
  const recordingId = await api.start();
  const { mimeType, chunks } = await recordedSegment("vp9-opus");
  const form = new FormData();
  for (const [name, value] of Object.entries({
    participantId: "ada",
    segmentId: crypto.randomUUID(),
    sequence: "0",
    mimeType,
  })) {
    form.append(name, value);
  }
  form.append("chunk_0", new Blob([chunks[0]?.payload ?? ""]));
  const whole = new Response(form);
  const contentType = whole.headers.get("content-type") ?? "";
  const bytes = await whole.bytes();
  const rest = Promise.withResolvers<void>();
  const begun = Promise.withResolvers<void>();
  const body = new ReadableStream({
    start: async (controller) => {
      controller.enqueue(bytes.subarray(0, 1_000));
      begun.resolve();
      await rest.promise;
      controller.enqueue(bytes.subarray(1_000));
      controller.close();
    },
  });
  const upload = fetch(`${server.url}/api/recordings/${recordingId}/chunks`, {
    method: "POST",
    body,
    headers: { "content-type": contentType },
  });
  await begun.promise;
  // An answer on another connection: the server has read what came before it.
  await api.list();
  const stopped = server.stop();
  rest.resolve();
  const answer = await upload;
  expect(answer.status).toBe(200);
  expect(await answer.json()).toMatchObject({ chunks: [{ sequence: 0, outcome: "accepted" }] });
  expect(await stopped).toBe(0);
}, 30_000);

test("after kill -9 in the middle of a recording every acknowledged chunk is there, and it goes on", async () => {
  await using directory = await temporaryDirectory();
  const recordingsDirectory = join(directory.path, "recordings");
  const { mimeType, chunks } = await recordedSegment("h264-opus");
  const segmentId = crypto.randomUUID();
  const payloads = chunks.map(({ payload }) => payload);
  const track = { participantId: "ada", trackId: "camera" };

  let acknowledged = 0;
  let recordingId: string;
  {
    await using server = await startServer({ recordingsDirectory });
    const api = new RecordingsApi(server.url);
    recordingId = await api.start();
    const upload = async (sequence: number) => {
      const chunk = payloads.slice(sequence, sequence + 1);
      await api.upload({ ...track, recordingId, segmentId, sequence, mimeType, chunks: chunk });
      acknowledged = Math.max(acknowledged, sequence + 1);
    };
    for (const sequence of [0, 1, 2]) await upload(sequence);
    // One more is under way: it may or may not be stored, but must not be half stored.
    const last = upload(3).catch((error: unknown) => error);
    await server.kill();
    await last;
  }

  await using server = await startServer({ recordingsDirectory });
  const api = new RecordingsApi(server.url);
  const source = () => fetch(api.trackUrl({ ...track, recordingId }, "source"));
  const { nextSequence, missing } = await api.segmentStatus(recordingId, segmentId);
  expect(nextSequence).toBeGreaterThanOrEqual(acknowledged);
  expect(missing).toEqual([]);
  expect(await (await source()).bytes()).toEqual(joinChunks(chunks.slice(0, nextSequence)));

  const rest = payloads.slice(nextSequence);
  await api.upload({
    ...track,
    recordingId,
    segmentId,
    sequence: nextSequence,
    mimeType,
    chunks: rest,
  });
  expect(await (await source()).bytes()).toEqual(joinChunks(chunks));
  await api.endSegment(recordingId, segmentId, chunks.length);
  await api.stop(recordingId);
  const { participants } = await api.ready(recordingId);
  expect(participants[0]?.tracks[0]?.verdict).toBe("complete");
}, 60_000);

import { describe, expect, test } from "bun:test";
import { RecorderError } from "../../../../client/recorder/recorder-error.ts";
import { ResumedUploads } from "../../../../client/recorder/resume/resumed-uploads.ts";
import { fieldsOfError } from "../../../../client/recorder/service/error-fields.ts";
import { RunUpload } from "../../../../client/recorder/service/run-upload.ts";

/** A run that left these segments, of two chunks each; the test says what becomes of it. */
function runWith(runId: string, segmentIds: readonly string[]) {
  const posted: string[] = [];
  const upload = new RunUpload(runId, {
    post: ({ type }) => posted.push(type),
    list: async () => [],
  });
  const address = { recordingId: "recording", participantId: "alice", trackId: "camera" };
  const segments = segmentIds.map((segmentId) => ({
    ...address,
    segmentId,
    chunks: 2,
    bytes: 20,
    durationMs: 2_000,
  }));
  const acknowledge = (segmentId: string, sequence: number) =>
    upload.receive({
      type: "acknowledged",
      runId,
      chunks: [{ segmentId, sequence, bytes: 10, durationMs: 1_000 }],
    });
  return { upload, segments, posted, acknowledge };
}

const gone = new RecorderError("recording-closed", "It is gone.", { status: 410 });

const statesOf = (uploads: ResumedUploads) =>
  uploads.segments.map(({ segmentId, state }) => `${segmentId} ${state}`);

describe("ResumedUploads", () => {
  test("without anything are finished at once", async () => {
    const uploads = new ResumedUploads();
    uploads.add([]);
    expect(uploads.isFinished).toBe(true);
    await uploads.finished;
  });

  test("count what is there and what is left, and are finished with the last run", async () => {
    const uploads = new ResumedUploads();
    const [first, second] = [runWith("1", ["a", "b"]), runWith("2", ["c"])];
    const figures: number[] = [];
    uploads.on("progress", ({ pending }) => figures.push(pending.chunks));
    uploads.add([first]);
    uploads.add([second]);
    expect(uploads.progress.pending).toEqual({ chunks: 6, bytes: 60, seconds: 6 });
    first.acknowledge("a", 0);
    first.acknowledge("a", 1);
    first.upload.receive({ type: "ended", runId: "1", segmentId: "a", chunkCount: 2 });
    expect(statesOf(uploads)).toEqual(["a delivered", "b waiting", "c waiting"]);
    expect(figures).toEqual([4, 6, 5, 4]);
    first.upload.receive({ type: "finished", runId: "1", error: null });
    await first.upload.finished;
    expect(uploads.isFinished).toBe(false);
    second.upload.receive({ type: "finished", runId: "2", error: null });
    await uploads.finished;
    expect(uploads.progress.acknowledged).toEqual({ chunks: 2, bytes: 20, seconds: 2 });
  });

  test("tell which segments are refused, and reject when nothing else is left", async () => {
    const uploads = new ResumedUploads();
    const [first, second] = [runWith("1", ["a"]), runWith("2", ["b"])];
    const codes: string[] = [];
    uploads.on("error", ({ code }) => codes.push(code));
    uploads.add([first, second]);
    const error = fieldsOfError(gone);
    first.upload.receive({ type: "failed", runId: "1", error });
    first.upload.receive({ type: "finished", runId: "1", error });
    second.upload.receive({ type: "refused", runId: "2", segmentId: "b", error });
    second.upload.receive({ type: "ended", runId: "2", segmentId: "b", chunkCount: 2 });
    second.upload.receive({ type: "finished", runId: "2", error });
    expect(uploads.finished).rejects.toMatchObject({ code: "recording-closed", status: 410 });
    expect(statesOf(uploads)).toEqual(["a refused", "b refused"]);
    expect(uploads.segments[0]?.error?.status).toBe(410);
    expect(codes).toEqual(["recording-closed", "recording-closed"]);
  });

  test("give up on demand", () => {
    const uploads = new ResumedUploads();
    const run = runWith("1", ["a"]);
    uploads.add([run]);
    uploads.abandon();
    expect(run.posted).toEqual(["abandon"]);
  });
});

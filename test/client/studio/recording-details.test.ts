import { expect, test } from "bun:test";
import type { Mark } from "../../../src/contract/marks.ts";
import { recordedSegment } from "../../support/recorded-media.ts";
import type { RecordingsApi } from "../../support/recordings-api.ts";
import { openTestBed } from "../../support/test-bed.ts";

const TEST_TIMEOUT_MS = 120_000;

/** A recording of this name whose one track lacks these chunks and has these marks. */
async function finishedTrack(
  api: RecordingsApi,
  name: string,
  lack: { readonly missing: readonly number[]; readonly marks: (beganAtMs: number) => Mark[] },
): Promise<void> {
  const { mimeType, chunks } = await recordedSegment("h264-opus");
  const recordingId = await api.start(name);
  const segmentId = crypto.randomUUID();
  // Right before the upload: nothing can have been captured after it arrived.
  const beganAtMs = Date.now() - (chunks.at(-1)?.atMs ?? 0);
  for (const { sequence, payload } of chunks) {
    if (lack.missing.includes(sequence)) continue;
    await api.upload({
      recordingId,
      participantId: "ann",
      trackId: "camera",
      segmentId,
      sequence,
      mimeType,
      chunks: [payload],
      capturedAtMs: [beganAtMs + (chunks[sequence - 1]?.atMs ?? 0)],
      marks: [sequence === 0 ? lack.marks(beganAtMs) : []],
    });
  }
  await api.endSegment(recordingId, segmentId, chunks.length);
  await api.stop(recordingId);
  await api.ready(recordingId);
}

test(
  "a recording's details tell where each track stands and what of it is missing",
  async () => {
    await using bed = await openTestBed({ env: { STOP_GRACE_MS: "0" } });
    await finishedTrack(bed.api, "Whole", { missing: [], marks: () => [] });
    await finishedTrack(bed.api, "Holes", {
      missing: [2, 3],
      marks: (beganAtMs) => [{ type: "muted", atMs: beganAtMs + 5_000, stream: "audio" }],
    });
    const page = await bed.browser.newPage();
    await page.goto(bed.server.url);
    const open = async (name: string) => {
      const row = page.getByRole("listitem").filter({ hasText: name }).first();
      await row.getByRole("button", { name: "Open" }).click();
      const track = page.getByTestId("track").filter({ visible: true });
      await track.getByText(/^Begins .* into the recording · lasts 0:06\.0$/).waitFor();
      return track;
    };

    const whole = await open("Whole");
    expect(await whole.getByTestId("gaps").count()).toBe(0);
    await page.reload();
    const holes = await open("Holes");
    const lines = (await holes.getByTestId("gaps").innerText()).split("\n");
    const told = lines.map((line) => line.trim()).filter((line) => /^[PS]/.test(line));
    expect(told).toEqual([
      "Picture and sound: never reached the server",
      // Up to the next keyframe pictures need those that are missing.
      "Picture: damaged, cannot be used",
      "Sound: switched off",
    ]);
  },
  TEST_TIMEOUT_MS,
);

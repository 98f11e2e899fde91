import { expect } from "bun:test";
import type { RecordingsApi } from "../support/recordings-api.ts";
import type { RecordedSegment } from "../support/recorded-media.ts";

/** A recording that already has chunks 0 and 1 of one segment, for what comes after them. */
export async function begunRecording(api: RecordingsApi, media: RecordedSegment) {
  const recordingId = await api.start();
  const segmentId = crypto.randomUUID();
  const track = { recordingId, participantId: "ada@example.org", trackId: "camera" };
  await api.upload({
    ...track,
    segmentId,
    sequence: 0,
    mimeType: "video/webm",
    chunks: media.chunks.slice(0, 2).map(({ payload }) => payload),
  });
  const look = async () => ({
    recording: await api.show(recordingId),
    bytes: await (await fetch(api.trackUrl(track, "source"))).bytes(),
  });
  return { recordingId, segmentId, track, look };
}

/** What `begunRecording` gives. */
export type BegunRecording = Awaited<ReturnType<typeof begunRecording>>;

/** Does something to a begun recording that is to be refused, and checks that nothing has changed. */
export async function expectUnchanged(
  api: RecordingsApi,
  media: RecordedSegment,
  act: (begun: BegunRecording) => Promise<void>,
): Promise<void> {
  const begun = await begunRecording(api, media);
  const before = await begun.look();
  await act(begun);
  expect(await begun.look()).toEqual(before);
}

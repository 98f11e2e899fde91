import { expect, test } from "bun:test";
import { litterIn, trackPaths } from "../finalize/recordings-directory.ts";
import { decodeFrameNumbers } from "../support/media-judge.ts";
import { RecordingsApi, trackOf } from "../support/recordings-api.ts";
import { recordedSegment } from "../support/recorded-media.ts";
import { startServer } from "../support/track-capture-server.ts";
import { until } from "../support/until.ts";
import { CAMPAIGN_TIMEOUT_MS, campaign } from "./campaign.ts";
import { reportCampaign } from "./support/report-campaign.ts";

const REPLACEMENTS = campaign({ short: 2, long: 40 });
const WAIT_MS = 60_000;
const READERS = 3;
/** Far longer than the whole test may take: what is whole must not wait for it. */
const STOP_GRACE_MS = 300_000;

/** Reads whole files over and over until told to stop; gives how often, and the hashes of what came. */
async function readUntil(
  isOver: () => boolean,
  read: () => Promise<Uint8Array>,
): Promise<{ reads: number; hashes: Set<string> }> {
  const hashes = new Set<string>();
  let reads = 0;
  while (!isOver()) {
    hashes.add(new Bun.CryptoHasher("sha256").update(await read()).digest("hex"));
    reads += 1;
  }
  return { reads, hashes };
}

test(
  "a late chunk replaces the MP4 in one step: whoever reads gets the old one whole or the new one",
  async () => {
    await using server = await startServer({
      env: { STOP_GRACE_MS: String(STOP_GRACE_MS), STOP_WAIT_MS_MAX: String(STOP_GRACE_MS) },
    });
    const api = new RecordingsApi(server.url);
    const { mimeType, chunks } = await recordedSegment("h264-opus");
    const payloads = chunks.map(({ payload }) => payload);
    let reads = 0;
    for (let replacement = 0; replacement < REPLACEMENTS; replacement += 1) {
      const name = { recordingId: await api.start(), participantId: "ann", trackId: "camera" };
      const [first, late] = [crypto.randomUUID(), crypto.randomUUID()];
      await api.upload({ ...name, segmentId: first, mimeType, sequence: 0, chunks: payloads });
      await api.endSegment(name.recordingId, first, payloads.length);
      await api.stop(name.recordingId);
      const before = trackOf(await api.ready(name.recordingId), name);
      expect(before).toMatchObject({ verdict: "complete", media: { videoPackets: 180 } });

      const { media } = trackPaths(server.recordingsDirectory, name);
      const url = api.trackUrl(name, "media.mp4");
      let isOver = false;
      const hashOf = async (): Promise<string> =>
        new Bun.CryptoHasher("sha256").update(await Bun.file(media).bytes()).digest("hex");
      const oldHash = await hashOf();
      const readers = [
        readUntil(
          () => isOver,
          () => Bun.file(media).bytes(),
        ),
        ...Array.from({ length: READERS }, () =>
          readUntil(
            () => isOver,
            async () => {
              const response = await fetch(url);
              expect(response.status).toBe(200);
              const body = await response.bytes();
              expect(body.length).toBe(
                Number(response.headers.get("content-length") ?? body.length),
              );
              return body;
            },
          ),
        ),
      ];
      // A whole new segment, as of a page that was closed while it was offline.
      await api.upload({ ...name, segmentId: late, mimeType, sequence: 0, chunks: payloads });
      await api.endSegment(name.recordingId, late, payloads.length);
      const after = await until(
        async () => {
          const track = trackOf(await api.show(name.recordingId), name);
          return track.state === "ready" && track.media?.videoPackets === 360 ? track : undefined;
        },
        { what: "the late segment is in the MP4", timeoutMs: WAIT_MS },
      );
      isOver = true;
      const results = await Promise.all(readers);
      const newHash = await hashOf();
      expect(after).toMatchObject({ verdict: "complete", reason: null });
      expect(newHash).not.toBe(oldHash);
      for (const result of results) {
        expect(result.reads).toBeGreaterThan(0);
        expect([...result.hashes].filter((hash) => hash !== oldHash && hash !== newHash)).toEqual(
          [],
        );
        reads += result.reads;
      }
      expect(await decodeFrameNumbers(media)).toHaveLength(360);
    }
    // Posters and waveforms are made behind the MP4s: a server that stops gives them up.
    expect(await server.stop()).toBe(0);
    expect(await litterIn(server.recordingsDirectory)).toEqual([]);
    reportCampaign(
      `${REPLACEMENTS} MP4s replaced under ${reads} reads: each whole, the old one or the new one; ` +
        `none waited for its grace of ${STOP_GRACE_MS / 1_000} s`,
    );
  },
  CAMPAIGN_TIMEOUT_MS,
);

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { RecordingsApi } from "../support/recordings-api.ts";
import { startServer, type TrackCaptureServer } from "../support/track-capture-server.ts";
import { until } from "../support/until.ts";
import { RawConnection } from "../http/raw-connection.ts";
import { rawHead, rawUpload, type RawChunk } from "../http/raw-upload.ts";
import { campaign, CAMPAIGN_TIMEOUT_MS } from "./campaign.ts";
import { reportCampaign } from "./support/report-campaign.ts";
import { campaignSeed, SeededRandom } from "./support/seeded-random.ts";

const EBML_MAGIC = [0x1a, 0x45, 0xdf, 0xa3] as const;
const BODY_IDLE_MS_MAX = 600;
const BODY_MS_BASE = 1_500;
/** The server's slowest accepted pace is 16 bytes a millisecond. */
const GOOD_PACE_BYTES_PER_MS = 64;
const ANSWER_TIMEOUT_MS = 30_000;

let server: TrackCaptureServer;
let api: RecordingsApi;

beforeAll(async () => {
  server = await startServer({
    env: { BODY_IDLE_MS_MAX: String(BODY_IDLE_MS_MAX), BODY_MS_BASE: String(BODY_MS_BASE) },
  });
  api = new RecordingsApi(server.url);
});

afterAll(() => server[Symbol.asyncDispose]());

/** The first chunk begins with a container's header, as it must. */
function payloadOf(sequence: number, bytes: number): Uint8Array<ArrayBuffer> {
  const payload = crypto.getRandomValues(new Uint8Array(bytes));
  if (sequence === 0) payload.set(EBML_MAGIC);
  return payload;
}

async function newSegment() {
  const recordingId = await api.start();
  return { recordingId, participantId: "ada", segmentId: crypto.randomUUID() };
}

const sourceOf = async (recordingId: string): Promise<Uint8Array> =>
  (
    await fetch(api.trackUrl({ recordingId, participantId: "ada", trackId: "camera" }, "source"))
  ).bytes();

/** Sends a chunk and gives the status of its answer; undefined when the connection ended without one. */
async function answered(connection: RawConnection): Promise<number | undefined> {
  return until(() => connection.status ?? (connection.isClosed ? null : undefined), {
    what: "an answer, or the end of the connection",
    timeoutMs: ANSWER_TIMEOUT_MS,
  }).then((status) => status ?? undefined);
}

async function sendWhole(chunk: RawChunk): Promise<number | undefined> {
  const connection = await RawConnection.open(server.url);
  const { head, body } = rawUpload(chunk);
  connection.send(head, body);
  const status = await answered(connection);
  connection.reset();
  return status;
}

/** Sends a part of a chunk and then goes away, in order or not. */
async function sendCutOff(chunk: RawChunk, part: number, how: "reset" | "close"): Promise<void> {
  const connection = await RawConnection.open(server.url);
  const { head, body } = rawUpload(chunk);
  const whole = Buffer.concat([Buffer.from(head), body]);
  connection.send(whole.subarray(0, Math.floor(part * (whole.length - 1))));
  connection[how]();
  await connection.closed;
}

test(
  "cut off, doubled, in parallel and in any order: the segment has the bytes of an undisturbed run",
  async () => {
    const chunks = campaign({ short: 60, long: 3_000 });
    const random = new SeededRandom(campaignSeed());
    const segment = await newSegment();
    const payloads = Array.from({ length: chunks }, (_, sequence) =>
      payloadOf(sequence, random.int(1, 40_000)),
    );
    let [cutOff, doubled] = [0, 0];
    const deliver = async (sequence: number): Promise<void> => {
      const payload = payloads[sequence] ?? new Uint8Array();
      const chunk = { ...segment, sequence, payload };
      while (random.chance(0.4)) {
        cutOff += 1;
        await sendCutOff(chunk, random.int(0, 999) / 1_000, random.pick(["reset", "close"]));
      }
      const times = random.chance(0.3) ? 3 : 1;
      doubled += times - 1;
      // The page that was doubled sends the same chunk at the same moment.
      const statuses = await Promise.all(Array.from({ length: times }, () => sendWhole(chunk)));
      expect(statuses).toEqual(statuses.map(() => 200));
    };
    const waiting = random.shuffled(Array.from(payloads.keys()));
    const lane = async (): Promise<void> => {
      for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) await deliver(next);
    };
    await Promise.all(Array.from({ length: 8 }, lane));

    const status = await api.segmentStatus(segment.recordingId, segment.segmentId);
    expect(status).toMatchObject({ nextSequence: chunks, missing: [] });
    const expected = Buffer.concat(payloads);
    expect(Buffer.compare(await sourceOf(segment.recordingId), expected)).toBe(0);
    reportCampaign(
      `network (FAULT_SEED=${random.seed}): ${chunks} chunks, ${cutOff} cut off, ${doubled} doubled, 0 bytes differ`,
    );
  },
  CAMPAIGN_TIMEOUT_MS,
);

test(
  "of two tabs that send other bytes under one number, one is stored whole and one is refused",
  async () => {
    const segment = await newSegment();
    const rounds = campaign({ short: 20, long: 500 });
    const stored: Uint8Array[] = [];
    for (let sequence = 0; sequence < rounds; sequence += 1) {
      const tabs = [payloadOf(sequence, 20_000), payloadOf(sequence, 20_000)];
      const statuses = await Promise.all(
        tabs.map((payload) => sendWhole({ ...segment, sequence, payload })),
      );
      expect(statuses.toSorted((a, b) => Number(a) - Number(b))).toEqual([200, 409]);
      stored.push(tabs[statuses.indexOf(200)] ?? new Uint8Array());
    }
    expect(Buffer.compare(await sourceOf(segment.recordingId), Buffer.concat(stored))).toBe(0);
  },
  CAMPAIGN_TIMEOUT_MS,
);

describe("a body that does not come is answered with 408 and ends its connection", () => {
  const bytes = 3_000_000;
  const framings: [name: string, framing: string][] = [
    ["of some bytes", "Content-Length: 20000"],
    ["of many megabytes", `Content-Length: ${bytes}`],
    ["of unknown size", "Transfer-Encoding: chunked"],
  ];

  test.each(framings)(
    "one %s that stands still",
    async (_name, framing) => {
      const { recordingId } = await newSegment();
      const connection = await RawConnection.open(server.url);
      const origin = "Origin: http://localhost:5173";
      connection.send(
        rawHead(recordingId, `${framing}\r\n${origin}`),
        "10\r\n0123456789abcdef\r\n",
      );
      await connection.closed;
      expect(connection.status).toBe(408);
      expect(connection.received).toContain("body-timeout");
      expect(connection.received).toMatch(
        /^access-control-allow-origin: http:\/\/localhost:5173/im,
      );
    },
    60_000,
  );

  test.each(framings)(
    "one %s of which a byte comes now and then",
    async (_name, framing) => {
      const { recordingId } = await newSegment();
      const connection = await RawConnection.open(server.url);
      connection.send(rawHead(recordingId, framing));
      const trickle = setInterval(
        () => connection.send(framing.startsWith("T") ? "1\r\nx\r\n" : "x"),
        BODY_IDLE_MS_MAX / 4,
      );
      await connection.closed;
      clearInterval(trickle);
      expect(connection.status).toBe(408);
    },
    60_000,
  );
});

test("a body that is slow but keeps the pace is taken, also beyond the base of the time limit", async () => {
  const segment = await newSegment();
  const payload = payloadOf(0, 1_200_000);
  const { head, body } = rawUpload({ ...segment, sequence: 0, payload });
  const connection = await RawConnection.open(server.url);
  connection.send(head);
  const startedAtMs = performance.now();
  for (let sent = 0; sent < body.length;) {
    const due = Math.floor((performance.now() - startedAtMs) * GOOD_PACE_BYTES_PER_MS * 4);
    connection.send(body.subarray(sent, due));
    sent = Math.max(sent, Math.min(due, body.length));
    // The sender's pace; what is due goes by the clock.
    await Bun.sleep(10);
  }
  expect(performance.now() - startedAtMs).toBeGreaterThan(BODY_MS_BASE);
  expect(await answered(connection)).toBe(200);
  connection.close();
  expect(Buffer.compare(await sourceOf(segment.recordingId), payload)).toBe(0);
});

test("a connection that died half-way holds nobody up: the same chunk goes over another at once", async () => {
  const segment = await newSegment();
  const chunk = { ...segment, sequence: 0, payload: payloadOf(0, 20_000) };
  const { head, body } = rawUpload(chunk);
  const silent = await RawConnection.open(server.url);
  silent.send(head, body.subarray(0, 10_000));
  expect(await sendWhole(chunk)).toBe(200);
  expect(silent.isClosed).toBe(false);
  await silent.closed;
  expect(silent.status).toBe(408);
  expect(await sourceOf(segment.recordingId)).toEqual(chunk.payload);
});

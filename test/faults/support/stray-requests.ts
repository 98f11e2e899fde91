import * as fc from "fast-check";
import { recordedSegment } from "../../support/recorded-media.ts";
import { participantIdSchema } from "../../../src/contract/ids.ts";
import { startRecordingRequestSchema } from "../../../src/contract/recordings.ts";
import { markSchema } from "../../../src/contract/marks.ts";
import { CHUNKS_PER_REQUEST_MAX, SEQUENCE_MAX } from "../../../src/contract/chunks.ts";

/** IDs that a request may name, newest last; there is always one of each. */
export interface KnownIds {
  readonly recordingIds: readonly string[];
  readonly segmentIds: readonly string[];
}

/** A request that an app, a stranger or a broken proxy could send: legal, illegal or at a limit. */
export interface StrayRequest {
  readonly method: string;
  /** From the server's root, with its query. */
  readonly path: (known: KnownIds) => string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: ((known: KnownIds) => string | FormData) | undefined;
}

const { chunks: sound } = await recordedSegment("audio-opus");
const soundChunks = sound.map(({ payload }) => payload);

const JSON_HEADERS = { "content-type": "application/json" };

const repeated = (unit: string, counts: readonly number[]) =>
  fc.constantFrom(...counts).map((count) => unit.repeat(count));

/** Texts of any kind, and around each limit that the contract has for texts. */
const text = fc.oneof(
  fc.string({ maxLength: 20, unit: "grapheme" }),
  fc.string({ maxLength: 20, unit: "binary" }),
  repeated("x", [127, 128, 129, 255, 256, 5_000]),
  repeated("😀", [63, 64, 65, 127, 128, 129]),
  fc.constantFrom("", " ", ".", "..", "../../x", "\0", "a\0b", "\ud800", "x\udfff", "\ufffe"),
  fc.constantFrom(
    "__proto__",
    "constructor",
    "CON",
    "%00",
    "a\r\nb: c",
    "\u202e",
    "\u0378",
    "null",
  ),
);

const nested = (levels: number, open: string, close: string) =>
  `${open.repeat(levels)}1${close.repeat(levels)}`;

/** Text of JSON, or what looks like it. */
const json = fc.oneof(
  { weight: 4, arbitrary: fc.json({ maxDepth: 6 }) },
  fc
    .tuple(fc.constantFrom(30, 31, 32, 33, 500, 5_000, 6_500, 20_000), fc.boolean())
    .map(([levels, isObject]) =>
      isObject ? nested(levels, '{"a":', "}") : nested(levels, "[", "]"),
    ),
  fc.constantFrom(16_300, 16_374, 16_384, 16_385, 40_000, 140_000).map((n) => `"${"y".repeat(n)}"`),
  fc.constantFrom(
    "1e999",
    "-0",
    "1e-400",
    "9007199254740993",
    '"\\u0000"',
    '"\\ud83d"',
    '{"__proto__":{"__proto__":null}}',
    '{"constructor":{"prototype":1},"toString":1,"toJSON":2}',
    '{"a":1,"a":2}',
    '{"":{"":[]}}',
    "[",
    "{",
    "nul",
    "",
  ),
);

const at = (ids: readonly string[], place: number) => ids.at(-1 - (place % ids.length)) ?? "";

/** Mostly an ID that is there, of the newest first; else one that is not, or none at all. */
const idOf = (kind: keyof KnownIds) =>
  fc.oneof(
    {
      weight: 6,
      arbitrary: fc.nat(5).map((place) => (known: KnownIds) => at(known[kind], place)),
    },
    fc.uuid().map((uuid) => () => uuid),
    text.map((word) => () => word),
  );

const segment = (word: string) => encodeURIComponent(word.toWellFormed());

const headers = fc.oneof(
  { weight: 5, arbitrary: fc.constant({}) },
  fc.constantFrom<Record<string, string>>(
    { "content-encoding": "gzip" },
    { "content-encoding": "identity" },
    { "content-type": "text/plain" },
    { "content-type": "multipart/form-data" },
    { "content-type": "application/json; charset=utf-16" },
    { "x-long": "h".repeat(8_000) },
    { accept: "nonsense", "accept-language": "*;q=9" },
  ),
);

/** What the contract allows. */
const legalStart = fc
  .record({
    name: text.filter((word) => startRecordingRequestSchema.safeParse({ name: word }).success),
    metadata: fc.oneof(
      fc.json({ maxDepth: 8 }),
      fc.constantFrom(
        nested(30, '{"__proto__":', "}"),
        nested(30, "[", "]"),
        `"${"y".repeat(16_370)}"`,
        `"${"\\u0000".repeat(2_700)}"`,
      ),
    ),
  })
  .map(({ name, metadata }): StrayRequest => ({
    method: "POST",
    path: () => "/api/recordings",
    headers: JSON_HEADERS,
    body: () => `{"name":${JSON.stringify(name)},"metadata":{"a":${metadata}}}`,
  }));

const start = fc
  .record({ name: fc.option(text), metadata: json, headers })
  .map(({ name, metadata, headers: more }): StrayRequest => ({
    method: "POST",
    path: () => "/api/recordings",
    headers: { ...JSON_HEADERS, ...more },
    body: () =>
      `{${name === null ? "" : `"name":${JSON.stringify(name)},`}"metadata":{"a":${metadata}}}`,
  }));

const startWithAnything = fc.tuple(json, headers).map(([body, more]): StrayRequest => ({
  method: "POST",
  path: () => "/api/recordings",
  headers: { ...JSON_HEADERS, ...more },
  body: () => body,
}));

const list = fc
  .record({
    q: fc.option(text),
    limit: fc.option(fc.constantFrom("0", "1", "200", "201", "1e2", "0x10", "-1", " 7", "")),
    state: fc.option(fc.constantFrom("recording", "failed", "ready", "x")),
    cursor: fc.option(fc.oneof(text, fc.uuid())),
  })
  .map(({ ...query }): StrayRequest => {
    const given = Object.entries(query).flatMap(([name, value]) =>
      value === null ? [] : [`${name}=${segment(value)}`],
    );
    return {
      method: "GET",
      path: () => `/api/recordings?${given.join("&")}`,
      headers: {},
      body: undefined,
    };
  });

const time = fc.constantFrom(0, 1, 1.5, 1.7e12, 8.64e15, 8.64e15 + 2, -1, 1e300, Number.MIN_VALUE);

const mark = (atMs: fc.Arbitrary<number>) =>
  fc.oneof(
    fc.record({
      type: fc.constantFrom("paused", "resumed", "hidden", "visible", "ended"),
      atMs,
    }),
    fc.record({ type: fc.constant("frozen"), atMs, toMs: atMs }),
    fc.record({
      type: fc.constantFrom("muted", "unmuted", "device-changed"),
      atMs,
      stream: fc.constantFrom("video", "audio", "smell"),
    }),
    fc.record({
      type: fc.constant("began"),
      atMs,
      reason: text,
      pictures: fc.constantFrom("continuous", "on-change", null),
    }),
  );

/** The first few are legal; each is one that some parser of numbers takes. */
const SEQUENCES = (
  `0|0|1|2|00|${SEQUENCE_MAX}|${SEQUENCE_MAX + 1}|-1|+1|1e3|0x1| 1|1.0|NaN|` + "9".repeat(400)
).split("|");

interface ChunkForm {
  readonly recordingId: (known: KnownIds) => string;
  readonly segmentId: (known: KnownIds) => string;
  readonly fields: Readonly<Record<string, string | undefined>>;
  readonly payloads: readonly Uint8Array[];
}

const chunkRequest = ({ recordingId, segmentId, fields, payloads }: ChunkForm): StrayRequest => ({
  method: "POST",
  path: (known) => `/api/recordings/${segment(recordingId(known))}/chunks`,
  headers: {},
  body: (known) => {
    const form = new FormData();
    for (const [name, value] of Object.entries(fields)) {
      if (value !== undefined) form.append(name, value);
    }
    form.append("segmentId", segmentId(known));
    for (const [i, payload] of payloads.entries()) {
      form.append(`chunk_${i}`, new Blob([new Uint8Array(payload)]));
    }
    return form;
  },
});

const newSegment = fc.uuid().map((uuid) => () => uuid);

/** What the contract allows, though no browser sends it: real media with marks and times at limits. */
const legalChunks = fc
  .record({
    recordingId: fc.nat(3).map((place) => (known: KnownIds) => at(known.recordingIds, place)),
    segmentId: newSegment,
    fields: fc.record(
      {
        participantId: fc.oneof(
          fc.constant("ada"),
          text.filter((word) => participantIdSchema.safeParse(word).success),
        ),
        trackId: fc.constantFrom("camera", "x".repeat(128), "CON", "😀".repeat(128)),
        mimeType: fc.oneof(
          fc.constantFrom("video/webm", ""),
          text.map((word) => word.slice(0, 99)),
        ),
        sequence: fc.constantFrom("0", "0", "0", "1", "00000000", String(SEQUENCE_MAX)),
        capturedAt_0: fc.constantFrom("0", "1700000000000.5", "8640000000000000"),
        marks_0: fc
          .array(mark(fc.constantFrom(0, 1e-300, 1.7e12, 8.64e15)), { maxLength: 64 })
          .map((marks) => JSON.stringify(marks.filter((it) => markSchema.safeParse(it).success))),
      },
      { requiredKeys: ["participantId", "sequence"] },
    ),
    payloads: fc.constantFrom([Buffer.concat(soundChunks)], soundChunks, [
      Uint8Array.of(0x1a, 0x45, 0xdf, 0xa3),
      new Uint8Array(0),
    ]),
  })
  .map(chunkRequest);

const anyChunks = fc
  .record({
    recordingId: idOf("recordingIds"),
    segmentId: fc.oneof(newSegment, idOf("segmentIds")),
    fields: fc.record(
      {
        participantId: fc.oneof(fc.constant("ada"), text),
        trackId: text,
        mimeType: fc.oneof(fc.constantFrom("video/webm;codecs=vp9,opus", "video/mp4"), text),
        sequence: fc.constantFrom(...SEQUENCES),
        capturedAt_0: fc.constantFrom("0", "1700000000000.5", "8640000000000000", "1e400", "x"),
        marks_0: fc.oneof(
          fc.array(mark(time), { maxLength: 70 }).map((marks) => JSON.stringify(marks)),
          json,
        ),
        sha256_0: fc.constantFrom("", "abc", "0".repeat(64)),
      },
      { requiredKeys: ["participantId", "sequence"] },
    ),
    payloads: fc.oneof(
      fc.array(fc.uint8Array({ maxLength: 200 }), { minLength: 1, maxLength: 3 }),
      fc.constant(Array.from({ length: CHUNKS_PER_REQUEST_MAX + 1 }, () => new Uint8Array(1))),
    ),
  })
  .map(chunkRequest);

const end = fc
  .tuple(
    idOf("recordingIds"),
    idOf("segmentIds"),
    fc.oneof(
      fc.constantFrom("0", "1", "2", "2147483648", "2147483649", "-1", "1.5", "1e300", '"1"'),
      json,
    ),
  )
  .map(([recordingId, segmentId, chunkCount]): StrayRequest => ({
    method: "POST",
    path: (known) =>
      `/api/recordings/${segment(recordingId(known))}/segments/${segment(segmentId(known))}/end`,
    headers: JSON_HEADERS,
    body: () => `{"chunkCount":${chunkCount}}`,
  }));

const exported = fc
  .tuple(
    idOf("recordingIds"),
    fc.oneof(
      fc
        .record({
          kind: fc.constantFrom("aligned", "audio", "compatible", "composite", "x"),
          lossless: fc.constantFrom("flac", "wav", "x"),
          frameRate: fc.constantFrom(0, 15, 60, 61, 1e300),
        })
        .map((options) => JSON.stringify(options)),
      fc.constant('{"kind":"audio"}'),
      json,
    ),
  )
  .map(([recordingId, body]): StrayRequest => ({
    method: "POST",
    path: (known) => `/api/recordings/${segment(recordingId(known))}/exports`,
    headers: JSON_HEADERS,
    body: () => body,
  }));

const guide = fc
  .tuple(
    fc.constantFrom("/recording", "/api/recording"),
    fc.constantFrom("/upload-chunk", "/stop", "/start"),
    idOf("recordingIds"),
    text,
    fc.oneof(fc.constantFrom("", "AAAA", "data:;base64", "A".repeat(9_999)), text),
  )
  .map(([prefix, path, recordingId, word, chunk]): StrayRequest => ({
    method: "POST",
    path: () => prefix + path,
    headers: JSON_HEADERS,
    body: (known) =>
      JSON.stringify({ recordingId: recordingId(known), participantId: word, type: word, chunk }),
  }));

const TRACK = "/participants/ada/tracks/camera";

/** What may follow a recording in a path. */
const RESTS_OF_PATHS =
  `|/stop|/retry|/download|/exports|/exports/x|/segments/x|/x|${TRACK}/media.mp4|${TRACK}/source|${TRACK}/source?segmentId=x|${TRACK}/poster.jpg|${TRACK}/waveform.json|/participants/%00/tracks/x/source|/%|/%ff|?__proto__=1`.split(
    "|",
  );

/** Requests that bring nothing, for whatever there is, with headers at their limits. */
const bare = fc
  .tuple(
    fc.constantFrom("GET", "HEAD", "POST", "DELETE", "OPTIONS", "PUT"),
    idOf("recordingIds"),
    text,
    fc.constantFrom(...RESTS_OF_PATHS),
    fc.constantFrom<Record<string, string>>(
      {},
      { range: "bytes=0-" },
      { range: `bytes=${"9".repeat(400)}-` },
      { range: "bytes=-0, 1-2,,", "if-range": "Thu, 32 Foo 9999 99:99:99 GMT" },
      { "if-none-match": `"${"e".repeat(4_000)}"`, "if-modified-since": "x" },
      { "if-modified-since": "Fri, 31 Dec 275761 23:59:59 GMT" },
    ),
  )
  .map(([method, recordingId, word, rest, more]): StrayRequest => ({
    method,
    path: (known) =>
      word.length > 100
        ? `/${segment(word)}`
        : `/api/recordings/${segment(recordingId(known))}${rest}`,
    headers: more,
    body: undefined,
  }));

/** Any request. */
export const strayRequest: fc.Arbitrary<StrayRequest> = fc.oneof(
  { weight: 3, arbitrary: legalStart },
  { weight: 4, arbitrary: start },
  { weight: 2, arbitrary: startWithAnything },
  { weight: 2, arbitrary: list },
  { weight: 4, arbitrary: legalChunks },
  { weight: 4, arbitrary: anyChunks },
  { weight: 3, arbitrary: end },
  { weight: 2, arbitrary: exported },
  { weight: 2, arbitrary: guide },
  { weight: 3, arbitrary: bare },
);

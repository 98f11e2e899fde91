import { afterAll, beforeAll, expect, test } from "bun:test";
import pino from "pino";
import { problemSchema } from "../../src/contract/problem.ts";
import { Intake } from "../../src/http/intake.ts";
import { recordedSegment } from "../support/recorded-media.ts";
import { RecordingsApi } from "../support/recordings-api.ts";
import { startServer, type TrackCaptureServer } from "../support/track-capture-server.ts";
import { appWithoutParts } from "./app-routes.ts";
import { type BegunRecording, begunRecording } from "./begun-recording.ts";
import { rawRequest } from "./raw-request.ts";

const UNKNOWN_ID = "01a20451-b9a9-775b-bf84-76768d5fe3c6";
const ALLOWED_ORIGIN = "https://app.example";
const LOOPBACK_ORIGIN = "http://localhost:5173";

/** Files that are the same until the server is another version. */
const CLIENT_FILE = /^\/(?:$|client\/|assets\/|openapi\/assets\/)/;

const NO_ROUTE = "/nothing/here";

/** Requests that are on their way at once. */
const PARALLEL = 32;

/** A method and a path as it stands in a request. */
interface Target {
  readonly method: string;
  readonly path: string;
}

interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly body: string;
}

let server: TrackCaptureServer;
let begun: BegunRecording;
/** Every route of the app, of a recording that is there, with what has no route. */
let targets: readonly Target[];
/** The same, of a recording that is not there. */
let emptyTargets: readonly Target[];

beforeAll(async () => {
  server = await startServer({ env: { ALLOWED_ORIGINS: ALLOWED_ORIGIN } });
  begun = await begunRecording(new RecordingsApi(server.url), await recordedSegment("vp9-opus"));
  const { routes } = await appWithoutParts();
  expect(routes.length).toBeGreaterThan(40);
  targets = targetsOf(routes, begun.recordingId);
  emptyTargets = targetsOf(routes, UNKNOWN_ID);
});

afterAll(() => server[Symbol.asyncDispose]());

function targetsOf(routes: readonly Target[], recordingId: string): Target[] {
  const values: Record<string, string> = {
    recordingId,
    participantId: begun.track.participantId,
    trackId: begun.track.trackId,
    segmentId: begun.segmentId,
    exportId: UNKNOWN_ID,
    name: "composite.mp4",
  };
  const known = routes.map(({ method, path }) => ({
    method,
    path: path.replace(/:(\w+)/g, (_, name: string) => {
      const value = values[name];
      if (value === undefined) throw new Error(`No value for ${name} in ${path}`);
      return encodeURIComponent(value);
    }),
  }));
  const list = "/api/recordings";
  return [
    ...known,
    { method: "OPTIONS", path: list },
    { method: "PUT", path: list },
    { method: "GET", path: NO_ROUTE },
    { method: "HEAD", path: "/recording/start" },
  ];
}

/** Sends a request over a connection of its own, with exactly these header lines. */
async function ask({ method, path }: Target, lines: readonly string[], version = "1.1") {
  const head = [`${method} ${path} HTTP/${version}`, ...lines, "Connection: close"];
  const length = method === "GET" || method === "HEAD" ? [] : ["Content-Length: 0"];
  const { text } = await rawRequest(server.url, [
    Buffer.from([...head, ...length, "", ""].join("\r\n"), "latin1"),
  ]);
  const [top = "", ...rest] = text.split("\r\n\r\n");
  const [statusLine = "", ...headers] = top.split("\r\n");
  return {
    status: Number(/^HTTP\/1\.1 (\d{3})/.exec(statusLine)?.[1]),
    headers: new Headers(
      headers.map((line): [string, string] => {
        const colon = line.indexOf(":");
        return [line.slice(0, colon), line.slice(colon + 1).trim()];
      }),
    ),
    body: rest.join("\r\n\r\n"),
  };
}

async function inParallel<T>(items: readonly T[], act: (item: T) => Promise<void>): Promise<void> {
  const queue = items.values();
  const work = async () => {
    for (const item of queue) await act(item);
  };
  await Promise.all(Array.from({ length: PARALLEL }, work));
}

/** Everything that a request could have changed. */
const state = async () => ({
  ...(await begun.look()),
  list: await new RecordingsApi(server.url).settledList(),
});

/** Asks each target with each set of lines; each answer must be a refusal, and nothing may change. */
async function expectRefused(
  wanted: readonly Target[],
  variants: readonly (readonly string[])[],
  refusals: Readonly<Record<number, string>>,
): Promise<void> {
  const before = await state();
  const pairs = wanted.flatMap((target) => variants.map((lines) => ({ target, lines })));
  await inParallel(pairs, async ({ target, lines }) => {
    const { status, headers, body } = await ask(target, lines);
    const what = { ...target, lines };
    expect({ ...what, code: refusals[status] }).toEqual({ ...what, code: expect.any(String) });
    expect(headers.get("access-control-allow-origin")).toBeNull();
    if (target.method === "HEAD") return;
    expect(headers.get("content-type")).toBe("application/problem+json");
    const { code } = problemSchema.parse(JSON.parse(body));
    expect<string>(code).toBe(refusals[status] ?? "");
  });
  expect(await state()).toEqual(before);
}

/** The answer without what differs from one answer to the next. */
function comparable({ status, headers, body }: Answer, isFixed: boolean) {
  return {
    status,
    type: headers.get("content-type"),
    cacheControl: headers.get("cache-control"),
    vary: headers.get("vary"),
    ...(isFixed ? { body } : {}),
  };
}

/** Asks each target with each set of lines; each answer must be the one for the server's own host. */
async function expectSame(
  variants: readonly (readonly string[])[],
  expectMore: (answer: Answer, lines: readonly string[]) => void = () => undefined,
): Promise<void> {
  await inParallel(emptyTargets, async (target) => {
    const isFixed = !target.path.endsWith("/start") && !/time|readyz|recordings$/.test(target.path);
    const first = await ask(target, [`Host: ${new URL(server.url).host}`]);
    expect({ ...target, isLost: first.body.includes('"code":"not-found"') }).toEqual({
      ...target,
      isLost: target.path === NO_ROUTE,
    });
    const own = comparable(first, isFixed);
    expect({ ...target, ...own }).toMatchObject({
      vary: "Origin",
      // Only the client's files can be kept; no other answer here is one that stays.
      cacheControl:
        CLIENT_FILE.test(target.path) && own.status === 200
          ? expect.stringMatching(/^no-cache$|immutable$/)
          : "no-store",
    });
    for (const lines of variants) {
      const answer = await ask(target, lines);
      const what = { ...target, lines };
      expect({ ...what, ...comparable(answer, isFixed) }).toEqual({ ...what, ...own });
      expectMore(answer, lines);
    }
  });
}

const REFUSED_HOSTS = { 400: "invalid-host", 421: "misdirected-request" };

test("a host of 0 to 40 characters opens no route, and no other path", async () => {
  const hosts = Array.from({ length: 41 }, (_, length) => [`Host: ${"a".repeat(length)}`]);
  await expectRefused(targets, hosts, REFUSED_HOSTS);
  // Elysia could look for the path behind the first letters of it.
  const hidden = targets.flatMap(({ method, path }) =>
    ["/client", "/x", "/client/recorder.js"].map((prefix) => ({ method, path: prefix + path })),
  );
  await expectRefused(
    hidden,
    [0, 1, 2, 3, 4, 10].map((length) => [`Host: ${"a".repeat(length)}`]),
    REFUSED_HOSTS,
  );
}, 120_000);

test("no other name, address or malformed host opens a route", async () => {
  const hosts = [
    "evil.example",
    `evil.example:${new URL(server.url).port}`,
    "app.localhost",
    "localhost.evil.example:3000",
    "0.0.0.0:3000",
    "10.0.0.1",
    "[2001:db8::1]:3000",
    "[::ffff:127.0.0.1]",
    "localhost:99999",
    "local host",
    "localhost/client",
    "localhost?",
    "user:word@localhost",
    "l\u00f3calhost",
    "localhost\r\nHost: localhost",
    "localhost\r\nHost: evil.example",
    "evil.example\r\nHost: localhost",
  ].map((host) => [`Host: ${host}`]);
  await expectRefused(targets, hosts, REFUSED_HOSTS);
}, 120_000);

test("a request without a Host is a malformed one, and never the server's fault", async () => {
  for (const target of targets) {
    const { status, body } = await ask(target, [], "1.0");
    expect({ ...target, status }).toEqual({ ...target, status: 400 });
    if (target.method !== "HEAD") expect(body).toContain('"invalid-host"');
    // Of HTTP/1.1 Bun answers this by itself.
    expect((await ask(target, [])).status).toBe(400);
  }
  expect((await ask({ method: "CONNECT", path: "a:80" }, ["Host: a"])).status).toBe(421);
  expect((await ask({ method: "CONNECT", path: "a:80" }, ["Host: localhost"])).status).toBe(404);
  expect(server.stderr()).not.toContain("request failed");
});

test("every name of a loopback address gets the same answers", async () => {
  await expectSame(
    [
      "localhost",
      "LOCALHOST:3000",
      "localhost.",
      "127.0.0.1",
      "127.8.9.10:65535",
      "[::1]",
      "[::1]:1",
      "[0:0:0:0:0:0:0:1]",
    ].map((host) => [`Host: ${host}`]),
  );
}, 120_000);

test("foreign pages open no route, whatever their browser says of them", async () => {
  const host = [`Host: ${new URL(server.url).host}`];
  const origins = [
    "null",
    "",
    "http://evil.example",
    "https://evil.example:8443",
    "http://app.localhost:3000",
    `${ALLOWED_ORIGIN}.evil.example`,
    `${LOOPBACK_ORIGIN}, http://evil.example`,
  ];
  const variants: (readonly string[])[] = [];
  for (const origin of origins) {
    const fetched = host.concat(`Origin: ${origin}`);
    variants.push(fetched);
    for (const site of ["none", "same-origin", "same-site", "cross-site"]) {
      variants.push(fetched.concat(`Sec-Fetch-Site: ${site}`));
    }
  }
  for (const site of ["same-site", "cross-site"]) {
    for (const [mode, destination] of [
      ["no-cors", "image"],
      ["no-cors", "video"],
      ["no-cors", "empty"],
      ["navigate", "iframe"],
      ["navigate", "object"],
    ]) {
      const embedded = host.concat(
        `Sec-Fetch-Site: ${site}`,
        `Sec-Fetch-Mode: ${mode}`,
        `Sec-Fetch-Dest: ${destination}`,
      );
      variants.push(embedded);
      for (const referer of ["http://evil.example/", "http://app.localhost:3000/"]) {
        variants.push(embedded.concat(`Referer: ${referer}`));
      }
    }
  }
  await expectRefused(targets, variants, { 403: "foreign-origin" });
}, 120_000);

test("a link on a foreign page opens what changes nothing", async () => {
  const link = [
    "Host: localhost",
    "Sec-Fetch-Site: cross-site",
    "Sec-Fetch-Mode: navigate",
    "Sec-Fetch-Dest: document",
  ];
  const before = await state();
  const opened = new Set<string>();
  await inParallel(targets, async (target) => {
    const { status } = await ask(target, link);
    if (status === 403) return;
    expect(["GET", "HEAD"]).toContain(target.method);
    opened.add(target.path);
  });
  expect(await state()).toEqual(before);
  expect([...opened]).toContain("/");
  expect([...opened].filter((path) => path.includes("start"))).toEqual([]);
}, 60_000);

test("pages of loopback and allowed origins get the same answers, and may read them", async () => {
  const host = "Host: localhost";
  const origins = [LOOPBACK_ORIGIN, "http://[::1]:8080", "https://127.0.0.1", ALLOWED_ORIGIN];
  await expectSame(
    [
      ...origins.map((origin) => [host, `Origin: ${origin}`, "Sec-Fetch-Site: cross-site"]),
      [host, "Sec-Fetch-Site: same-origin"],
      [host, "Sec-Fetch-Site: none"],
    ],
    ({ headers }, [, second = ""]) => {
      const origin = /^Origin: (.*)/.exec(second)?.[1];
      expect(headers.get("access-control-allow-origin")).toBe(origin ?? null);
      expect(headers.has("access-control-expose-headers")).toBe(origin !== undefined);
      expect(headers.get("access-control-allow-credentials")).toBeNull();
    },
  );
}, 120_000);

const preflight = (origin: string) =>
  ask({ method: "OPTIONS", path: "/api/recordings" }, [
    "Host: localhost",
    `Origin: ${origin}`,
    "Access-Control-Request-Method: DELETE",
    "Access-Control-Request-Private-Network: true",
  ]);

test("a preflight request is answered to those pages alone", async () => {
  for (const origin of [LOOPBACK_ORIGIN, ALLOWED_ORIGIN]) {
    const { status, headers } = await preflight(origin);
    expect(status).toBe(204);
    expect(headers.get("access-control-allow-origin")).toBe(origin);
    expect(headers.get("access-control-allow-methods")).toContain("DELETE");
    expect(headers.get("access-control-allow-headers")).toBe("*, Authorization");
    expect(headers.get("access-control-allow-private-network")).toBe("true");
  }
  for (const origin of ["http://evil.example", "null"]) {
    const { status, headers } = await preflight(origin);
    expect(status).toBe(403);
    expect([...headers.keys()].filter((name) => name.startsWith("access-control"))).toEqual([]);
  }
});

test("the refusal and one line in the log say how to allow the origin, or what a proxy must send", async () => {
  const lines: string[] = [];
  const app = await appWithoutParts({
    log: pino({ level: "info" }, { write: (line: string) => lines.push(line) }),
  });
  const detailOf = async (url: string, origin?: string) => {
    const headers = origin === undefined ? {} : { origin };
    return problemSchema.parse(await (await app.handle(new Request(url, { headers }))).json())
      .detail;
  };
  for (let count = 0; count < 2; count += 1) {
    expect(await detailOf("http://localhost/", "https://calls.example")).toContain(
      "add https://calls.example to ALLOWED_ORIGINS",
    );
    expect(await detailOf("http://recorder.example/")).toContain(
      "proxy_set_header Host 127.0.0.1:3000;",
    );
  }
  expect(lines).toEqual([
    expect.stringContaining('"origin":"https://calls.example"'),
    expect.stringContaining('"host":"recorder.example"'),
  ]);
});

test("a server that is stopping refuses them too", async () => {
  const intake = new Intake();
  intake.close();
  const app = await appWithoutParts({ intake });
  const statusOf = async (url: string, headers: Record<string, string> = {}) =>
    (await app.handle(new Request(url, { headers }))).status;
  expect(await statusOf("http://evil.example/healthz")).toBe(421);
  expect(await statusOf("http://localhost/healthz", { origin: "http://evil.example" })).toBe(403);
  expect(await statusOf("http://localhost/api/recordings")).toBe(503);
});

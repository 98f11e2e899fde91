import { expect, test } from "bun:test";
import { connect, type Socket } from "node:net";
import { startTcpProxy } from "./tcp-proxy.ts";
import { until } from "./until.ts";

const TIMEOUT_MS = 10_000;

/** How long nothing must happen before it counts as silence. */
const SILENCE_MS = 300;

/** Speaks HTTP by hand over one connection, which stays what it is. */
class Caller {
  readonly #socket: Socket;
  received = "";
  isClosed = false;

  constructor(url: string) {
    this.#socket = connect({ host: "127.0.0.1", port: Number(new URL(url).port) });
    this.#socket.on("data", (bytes) => {
      this.received += bytes.toString();
    });
    this.#socket.on("error", () => undefined);
    this.#socket.on("close", () => {
      this.isClosed = true;
    });
  }

  ask(): void {
    this.#socket.write("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
  }

  async answered(times: number): Promise<void> {
    await until(() => this.received.split("here").length > times || undefined, {
      what: `answer ${times}`,
      timeoutMs: TIMEOUT_MS,
    });
  }

  async closed(): Promise<void> {
    await until(() => this.isClosed || undefined, { what: "reset", timeoutMs: TIMEOUT_MS });
  }

  [Symbol.dispose](): void {
    this.#socket.destroy();
  }
}

function serveHere() {
  return Bun.serve({ hostname: "127.0.0.1", port: 0, fetch: () => new Response("here") });
}

test("a cut path resets the connections that are open and each new one, until it is restored", async () => {
  await using server = serveHere();
  await using proxy = await startTcpProxy(server.url.href);
  using first = new Caller(proxy.url);
  first.ask();
  await first.answered(1);
  proxy.cut();
  await first.closed();
  using second = new Caller(proxy.url);
  await second.closed();
  expect(second.received).toBe("");
  proxy.restore();
  using third = new Caller(proxy.url);
  third.ask();
  await third.answered(1);
});

test("a silent path keeps connections open and passes nothing; restored, it serves new ones only", async () => {
  await using server = serveHere();
  await using proxy = await startTcpProxy(server.url.href);
  using before = new Caller(proxy.url);
  before.ask();
  await before.answered(1);
  proxy.silence();
  using during = new Caller(proxy.url);
  before.ask();
  during.ask();
  await Bun.sleep(SILENCE_MS);
  proxy.restore();
  using after = new Caller(proxy.url);
  after.ask();
  await after.answered(1);
  expect(before.received.split("here").length).toBe(2);
  expect(during.received).toBe("");
  expect([before.isClosed, during.isClosed]).toEqual([false, false]);
});

test("what is sent while the server is away is told by a reset, not by silence", async () => {
  const server = serveHere();
  await using proxy = await startTcpProxy(server.url.href);
  await server.stop(true);
  using caller = new Caller(proxy.url);
  caller.ask();
  await caller.closed();
  expect(caller.received).toBe("");
});

test("it passes megabytes on unchanged, in both directions", async () => {
  const bytes = crypto.getRandomValues(new Uint8Array(65_536));
  const body = new Blob(Array.from({ length: 64 }, () => bytes));
  await using server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    fetch: async (request) => new Response(await request.bytes()),
  });
  await using proxy = await startTcpProxy(server.url.href);
  const answer = await fetch(proxy.url, { method: "POST", body });
  const received = new Bun.CryptoHasher("sha256").update(await answer.bytes()).digest("hex");
  const sent = new Bun.CryptoHasher("sha256").update(await body.bytes()).digest("hex");
  expect(received).toBe(sent);
});

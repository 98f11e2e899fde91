import { expect, test } from "bun:test";
import { RawConnection } from "../http/raw-connection.ts";
import { startTcpProxy } from "./tcp-proxy.ts";
import { until } from "./until.ts";

const TIMEOUT_MS = 10_000;

/** How long nothing must happen before it counts as silence. */
const SILENCE_MS = 300;

function ask(connection: RawConnection): void {
  connection.send("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
}

async function answered(connection: RawConnection): Promise<void> {
  await until(() => connection.received.includes("here") || undefined, {
    what: "the answer",
    timeoutMs: TIMEOUT_MS,
  });
}

async function closed(connection: RawConnection): Promise<void> {
  await until(() => connection.isClosed || undefined, { what: "reset", timeoutMs: TIMEOUT_MS });
}

function serveHere() {
  return Bun.serve({ hostname: "127.0.0.1", port: 0, fetch: () => new Response("here") });
}

test("a cut path resets the connections that are open and each new one, until it is restored", async () => {
  await using server = serveHere();
  await using proxy = await startTcpProxy(server.url.href);
  using first = await RawConnection.open(proxy.url);
  ask(first);
  await answered(first);
  proxy.cut();
  await closed(first);
  using second = await RawConnection.open(proxy.url);
  await closed(second);
  expect(second.received).toBe("");
  proxy.restore();
  using third = await RawConnection.open(proxy.url);
  ask(third);
  await answered(third);
});

test("a silent path keeps connections open and passes nothing; restored, it serves new ones only", async () => {
  await using server = serveHere();
  await using proxy = await startTcpProxy(server.url.href);
  using before = await RawConnection.open(proxy.url);
  ask(before);
  await answered(before);
  proxy.silence();
  using during = await RawConnection.open(proxy.url);
  ask(before);
  ask(during);
  await Bun.sleep(SILENCE_MS);
  proxy.restore();
  using after = await RawConnection.open(proxy.url);
  ask(after);
  await answered(after);
  expect(before.received.split("here").length).toBe(2);
  expect(during.received).toBe("");
  expect([before.isClosed, during.isClosed]).toEqual([false, false]);
});

test("what is sent while the server is away is told by a reset, not by silence", async () => {
  const server = serveHere();
  await using proxy = await startTcpProxy(server.url.href);
  await server.stop(true);
  using caller = await RawConnection.open(proxy.url);
  ask(caller);
  await closed(caller);
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

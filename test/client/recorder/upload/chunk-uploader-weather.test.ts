import { describe, expect, test } from "bun:test";
import { RecorderError } from "../../../../client/recorder/recorder-error.ts";
import { problem, ScriptedServer } from "../scripted-server.ts";
import { chunk, next, SEGMENT_ID, textOf, uploaderFor } from "./uploader-bed.ts";

function redirectTo(url: string, status = 302): Response {
  return new Response(null, { status, headers: { Location: url } });
}

/** One round trip, after which a request that was sent before has been answered. */
async function proxyTurn(url: URL): Promise<false> {
  await (await fetch(url, { redirect: "manual" })).arrayBuffer();
  return false;
}

describe("ChunkUploader, when something else than the server answers", () => {
  for (const [name, answer, cause] of [
    ["401 of a proxy", () => new Response("Sign in", { status: 401 }), "sign-in-needed"],
    ["403 of a proxy", () => new Response("Forbidden", { status: 403 }), "sign-in-needed"],
    ["407", () => new Response("", { status: 407 }), "sign-in-needed"],
    ["511 of a hotel", () => new Response("", { status: 511 }), "sign-in-needed"],
    ["302 to a sign-in page", () => redirectTo("https://login.example/"), "sign-in-needed"],
    ["404 of a proxy", () => new Response("Not Found", { status: 404 }), "not-the-server"],
    [
      "404 with another JSON",
      () => Response.json({ code: 404 }, { status: 404 }),
      "not-the-server",
    ],
    ["405", () => new Response("", { status: 405 }), "not-the-server"],
    ["410 of a proxy", () => new Response("Gone", { status: 410 }), "not-the-server"],
    ["451", () => new Response("", { status: 451 }), "not-the-server"],
    ["200 of a sign-in page", () => new Response("<h1>Sign in</h1>"), "not-the-server"],
    ["502 of a proxy", () => new Response("Bad Gateway", { status: 502 }), "server-busy"],
    ["413 of a proxy", () => new Response("Too Large", { status: 413 }), "body-too-large"],
    ["a wrong path", () => problem(404, "not-found"), "not-the-server"],
    ["a wrong host", () => problem(421, "misdirected-request"), "not-the-server"],
    ["a foreign origin", () => problem(403, "foreign-origin"), "origin-refused"],
    ["a code of a newer server", () => problem(402, "unpaid"), "not-the-server"],
    ["a newer server's sign-in", () => problem(401, "unauthorized"), "sign-in-needed"],
    ["a damaged chunk", () => problem(422, "chunk-hash-mismatch"), "damaged-on-the-way"],
    ["a busy server", () => problem(503, "overloaded"), "server-busy"],
  ] as const) {
    test(`goes on after ${name}, and says ${cause}`, async () => {
      await using server = new ScriptedServer().start();
      const { uploader, clock, seen } = uploaderFor(server, 1);
      // However often it is said, it does not become final.
      server.failWhen(() => (seen.retry.length < 4 ? { answer } : undefined));
      let retry = next(uploader, "retry");
      uploader.add(chunk(0));
      uploader.endSegment(SEGMENT_ID, 1);
      for (let i = 0; i < 4; i += 1) {
        const { delayMs } = await retry;
        retry = next(uploader, "retry");
        clock.advance(delayMs);
      }
      expect(await uploader.finish()).toBeNull();
      expect(textOf(server)).toBe("chunk 0;");
      expect(seen.retry.map((event) => event.cause)).toEqual(
        Array.from({ length: 4 }, () => cause),
      );
      expect(seen.failed).toEqual([]);
    });
  }

  test("is back at once when the sign-in of a proxy in front of the whole server is over", async () => {
    await using server = new ScriptedServer().start();
    let isSignedIn = false;
    await using signIn = Bun.serve({ port: 0, fetch: () => new Response("<h1>Sign in</h1>") });
    await using proxy = Bun.serve({
      port: 0,
      fetch: async (request) => {
        if (!isSignedIn) return redirectTo(signIn.url.href);
        const { pathname } = new URL(request.url);
        const { method, headers } = request;
        const body = method === "POST" ? await request.arrayBuffer() : null;
        return fetch(new URL(pathname, server.url), { method, headers, body });
      },
    });
    const { uploader, clock } = uploaderFor(server, 1, proxy.url.href);
    let retry = next(uploader, "retry");
    uploader.add(chunk(0));
    uploader.endSegment(SEGMENT_ID, 1);
    for (let i = 0; i < 8; i += 1) {
      const { delayMs, cause } = await retry;
      expect(cause).toBe("sign-in-needed");
      retry = next(uploader, "retry");
      if (i < 7) clock.advance(delayMs);
    }
    isSignedIn = true;
    // The wait of 15 s that has begun is not over: a probe finds it out.
    const finished = uploader.finish();
    const isOver = finished.then(() => true);
    let waitedMs = 0;
    while (!(await Promise.race([isOver, proxyTurn(proxy.url)]))) {
      clock.advance(100);
      waitedMs += 100;
    }
    expect(await finished).toBeNull();
    expect(waitedMs).toBeLessThan(5_000);
  });

  test("asks for a sign-in although the page for it never answers", async () => {
    await using server = new ScriptedServer().start();
    const held = Promise.withResolvers<Response>();
    await using signIn = Bun.serve({ port: 0, fetch: () => held.promise });
    await using proxy = Bun.serve({ port: 0, fetch: () => redirectTo(signIn.url.href) });
    const { uploader, clock, seen } = uploaderFor(server, 1, proxy.url.href);
    uploader.add(chunk(0));
    for (let i = 0; seen.retry.length === 0; i += 1) {
      expect(i).toBeLessThan(600);
      await proxyTurn(proxy.url);
      clock.advance(100);
    }
    expect(seen.retry[0]?.cause).toBe("sign-in-needed");
    await uploader.stop(new RecorderError("stopped", "enough"));
    held.resolve(new Response());
  });

  for (const status of [301, 302, 307, 308]) {
    test(`follows a redirect with ${status} that leads to the server, such as to HTTPS`, async () => {
      await using server = new ScriptedServer().start();
      await using proxy = Bun.serve({
        port: 0,
        fetch: ({ url }) => redirectTo(new URL(new URL(url).pathname, server.url).href, status),
      });
      const { uploader, seen } = uploaderFor(server, 1, proxy.url.href);
      uploader.add(chunk(0));
      uploader.endSegment(SEGMENT_ID, 1);
      expect(await uploader.finish()).toBeNull();
      expect(textOf(server)).toBe("chunk 0;");
      expect(seen.retry).toEqual([]);
    });
  }
});

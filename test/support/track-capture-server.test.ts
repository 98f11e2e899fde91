import { expect, test } from "bun:test";
import { startServer } from "./track-capture-server.ts";

test("a server that cannot start fails with its own words", async () => {
  expect(startServer({ env: { PORT: "http" } })).rejects.toThrow(/PORT/);
});

test("a server that is asked to end ends with 0, and its temporary directory goes", async () => {
  const server = await startServer();
  expect((await fetch(`${server.url}/healthz`)).status).toBe(200);
  expect(await server.stop()).toBe(0);
  await server[Symbol.asyncDispose]();
  expect(fetch(`${server.url}/healthz`)).rejects.toThrow();
});

import { describe, expect, test } from "bun:test";
import { BodyReader, type RequestBodyLimits } from "../../src/http/body-reader.ts";
import {
  BodyTimeoutError,
  BodyTooLargeError,
  UnreadableBodyError,
} from "../../src/http/request-errors.ts";
import { OverloadedError } from "../../src/recording/errors.ts";
import { until } from "../support/until.ts";

const MIB = 1024 * 1024;

/** Of the total a quarter is kept for bodies of up to 1 MiB; the others share 12 MiB. */
const LIMITS: RequestBodyLimits = {
  requestBytesMax: 8 * MIB,
  totalRequestBytesMax: 16 * MIB,
  bodyIdleMsMax: 60_000,
  bodyMsBase: 60_000,
};

const newReader = (limits: Partial<RequestBodyLimits> = {}): BodyReader =>
  new BodyReader({ ...LIMITS, ...limits }, () => undefined);

/** A request whose body comes when the test wants it to. */
function slowRequest(declaredBytes: number | null) {
  const { promise, resolve } = Promise.withResolvers<ReadableStreamDefaultController>();
  const body = new ReadableStream<Uint8Array>({ start: resolve });
  const headers: Record<string, string> =
    declaredBytes === null ? {} : { "content-length": String(declaredBytes) };
  return {
    request: new Request("http://localhost/", { method: "POST", body, headers }),
    send: async (bytes: Uint8Array) => (await promise).enqueue(bytes),
    end: async () => (await promise).close(),
    fail: async () => (await promise).error(new Error("the connection was closed")),
  };
}

const wholeRequest = (body: Uint8Array<ArrayBuffer>): Request =>
  new Request("http://localhost/", {
    method: "POST",
    body,
    headers: { "content-length": String(body.length) },
  });

const lengthOf = async (body: Uint8Array): Promise<number> => body.length;

/** What became of a read: its error, or how many bytes there were. */
const outcomeOf = (read: Promise<number>): Promise<unknown> =>
  read.catch((error: unknown) => error);

describe("bytes are those that were sent", () => {
  test.each([
    ["in one call", 100_000, 100_000],
    ["piece by piece, of a length that is told", 3 * MIB, 3 * MIB],
    ["piece by piece, of a length that is not told", 3 * MIB, null],
    ["of which there are none", 0, null],
  ])("%s", async (_name, bytes, declared) => {
    const sent = crypto.getRandomValues(new Uint8Array(Math.min(bytes, 65_536)));
    const whole = new Uint8Array(bytes).map((_, i) => sent[i % sent.length] ?? 0);
    const { request, send, end } = slowRequest(declared);
    const read = newReader().read(request, async (body) => Buffer.compare(body, whole));
    for (let at = 0, step = 1; at < bytes; at += step, step = (step * 7) % 100_003) {
      await send(whole.subarray(at, Math.min(bytes, at + step)));
    }
    await end();
    expect(await read).toBe(0);
  });

  test("without a body there are none", async () => {
    expect(await newReader().read(new Request("http://localhost/"), lengthOf)).toBe(0);
  });
});

test("a body that breaks off is unreadable, and its place is free again", async () => {
  const reader = newReader();
  for (let i = 0; i < 10; i += 1) {
    const { request, send, fail } = slowRequest(8 * MIB);
    const outcome = outcomeOf(reader.read(request, lengthOf));
    await send(new Uint8Array(MIB));
    await fail();
    expect(await outcome).toBeInstanceOf(UnreadableBodyError);
  }
});

test("a body over its limit is refused, whether it says so or not", async () => {
  const reader = newReader();
  const declared = slowRequest(8 * MIB + 1);
  expect(await outcomeOf(reader.read(declared.request, lengthOf))).toBeInstanceOf(
    BodyTooLargeError,
  );
  const undeclared = slowRequest(null);
  const outcome = outcomeOf(reader.read(undeclared.request, lengthOf));
  for (let i = 0; i < 9; i += 1) await undeclared.send(new Uint8Array(MIB));
  expect(await outcome).toBeInstanceOf(BodyTooLargeError);
});

test("large bodies are refused when there is no room for more of them, small ones are still read", async () => {
  const reader = newReader();
  const first = slowRequest(6 * MIB);
  const reading = outcomeOf(reader.read(first.request, lengthOf));
  const second = slowRequest(6 * MIB);
  expect(await outcomeOf(reader.read(second.request, lengthOf))).toBeInstanceOf(OverloadedError);
  expect(await reader.read(wholeRequest(new Uint8Array(MIB)), lengthOf)).toBe(MIB);
  await first.send(new Uint8Array(6 * MIB));
  await first.end();
  expect(await reading).toBe(6 * MIB);
  expect(await reader.read(wholeRequest(new Uint8Array(6 * MIB)), lengthOf)).toBe(6 * MIB);
});

test("a body that is only announced does not keep its room", async () => {
  const reader = newReader();
  const announced = slowRequest(8 * MIB);
  const reading = outcomeOf(reader.read(announced.request, lengthOf));
  await announced.send(new Uint8Array(10));
  const answer = await until(
    async () => {
      const outcome = await outcomeOf(reader.read(wholeRequest(new Uint8Array(4 * MIB)), lengthOf));
      return outcome instanceof OverloadedError ? undefined : outcome;
    },
    { what: "there is room for another body", timeoutMs: 30_000 },
  );
  expect(answer).toBe(4 * MIB);
  await announced.fail();
  expect(await reading).toBeInstanceOf(UnreadableBodyError);
});

test("slow small bodies that take all that is kept for their kind leave room for others", async () => {
  const reader = newReader();
  const slow = Array.from({ length: 4 }, () => slowRequest(MIB));
  const reading = slow.map(({ request }) => outcomeOf(reader.read(request, lengthOf)));
  expect(await reader.read(wholeRequest(new Uint8Array(MIB)), lengthOf)).toBe(MIB);
  for (const { fail } of slow) await fail();
  for (const outcome of await Promise.all(reading))
    expect(outcome).toBeInstanceOf(UnreadableBodyError);
});

test("what is read counts until it is used up", async () => {
  const reader = newReader();
  const used = Promise.withResolvers<void>();
  const reading = reader.read(wholeRequest(new Uint8Array(6 * MIB)), () => used.promise);
  await until(
    async () => {
      const outcome = await outcomeOf(reader.read(wholeRequest(new Uint8Array(6 * MIB)), lengthOf));
      return outcome instanceof OverloadedError || undefined;
    },
    { what: "the first body is being used", timeoutMs: 30_000 },
  );
  used.resolve();
  await reading;
  expect(await reader.read(wholeRequest(new Uint8Array(6 * MIB)), lengthOf)).toBe(6 * MIB);
});

test.each([
  ["stands still", { bodyIdleMsMax: 200 }, 3 * MIB],
  ["stands still and is small", { bodyMsBase: 200 }, 1_000],
  ["falls behind", { bodyMsBase: 200 }, 3 * MIB],
])("a body that %s is given up", async (_name, limits, declared) => {
  const { request, send } = slowRequest(declared);
  const outcome = outcomeOf(newReader(limits).read(request, lengthOf));
  await send(new Uint8Array(10));
  expect(await outcome).toBeInstanceOf(BodyTimeoutError);
});

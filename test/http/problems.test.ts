import { expect, test } from "bun:test";
import { Elysia } from "elysia";
import pino from "pino";
import { problems } from "../../src/http/problems.ts";
import {
  OverloadedError,
  StorageFailedError,
  StorageFullError,
} from "../../src/recording/errors.ts";
import { problemSchema } from "../../src/contract/problem.ts";

/** An app whose only route throws, and the lines that it logs. */
function failingApp(error: unknown) {
  const lines: string[] = [];
  const log = pino({ level: "info" }, { write: (line: string) => lines.push(line) });
  const app = new Elysia().use(problems({ log, routes: () => [] })).get("/", () => {
    throw error;
  });
  return { lines, answer: () => app.handle(new Request("http://localhost/")) };
}

test("an error that nobody expected is logged with its stack, and the answer gives nothing away", async () => {
  const { lines, answer } = failingApp(new TypeError("the password is swordfish"));
  const response = await answer();
  expect(response.status).toBe(500);
  const text = await response.text();
  expect(problemSchema.parse(JSON.parse(text)).code).toBe("internal");
  expect(text).not.toContain("swordfish");
  expect(lines.join("")).toContain("swordfish");
  expect(lines.join("")).toContain("problems.test.ts");
});

test("an error that asks to come again tells when, in whole seconds", async () => {
  const overloaded = await failingApp(new OverloadedError("busy", 1_001)).answer();
  expect([overloaded.status, overloaded.headers.get("retry-after")]).toEqual([503, "2"]);
  const full = await failingApp(new StorageFullError("full")).answer();
  expect([full.status, full.headers.get("retry-after")]).toEqual([507, "10"]);
  const failed = await failingApp(new StorageFailedError("failed")).answer();
  expect([failed.status, failed.headers.get("retry-after")]).toEqual([503, "5"]);
});

test("an error that was expected is not logged as one", async () => {
  const { lines, answer } = failingApp(new StorageFullError("full"));
  await answer();
  expect(lines).toEqual([]);
});

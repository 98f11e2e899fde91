import { describe, expect, test } from "bun:test";
import { RequestRefusedError, ServerUnreachableError } from "../../../client/studio/api-client.ts";
import { describeRequestProblem } from "../../../client/studio/describe-request-problem.ts";
import type { ProblemCode } from "../../../src/contract/problem.ts";

const refusal = (code: ProblemCode, detail: string) =>
  new RequestRefusedError(400, { type: "about:blank", title: code, status: 400, code, detail });

describe("describeRequestProblem", () => {
  const doing = "The recording was not deleted";

  test("tells what to do when the server does not answer", () => {
    expect(describeRequestProblem(new ServerUnreachableError(null), doing)).toBe(
      "The recording was not deleted: the server cannot be reached. Check your connection and whether the server runs, then try again.",
    );
  });

  test("tells what to do about what the person can change", () => {
    expect(describeRequestProblem(refusal("recording-in-progress", ""), doing)).toContain(
      "Stop it first",
    );
    expect(describeRequestProblem(refusal("storage-full", ""), doing)).toContain(
      "Delete recordings",
    );
    expect(describeRequestProblem(refusal("recording-not-found", ""), doing)).toContain(
      "it was deleted",
    );
  });

  test("otherwise gives the server's own words", () => {
    expect(describeRequestProblem(refusal("invalid-request", "name is too long."), doing)).toBe(
      "The recording was not deleted: name is too long.",
    );
  });

  test("hands on what is no failure of a request", () => {
    const bug = new TypeError("x is undefined");
    expect(() => describeRequestProblem(bug, doing)).toThrow(bug);
  });
});

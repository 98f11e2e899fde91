import { expect } from "bun:test";
import { problemSchema, type Problem } from "../../src/contract/problem.ts";

/** Checks that an answer is a problem, which no cache keeps; gives the problem. */
export async function expectProblem(
  response: Response,
  status: number,
  code: Problem["code"],
): Promise<Problem> {
  const text = await response.text();
  expect({ status: response.status, body: text }).toEqual({ status, body: text });
  expect(response.headers.get("content-type")).toBe("application/problem+json");
  expect(response.headers.get("cache-control")).toBe("no-store");
  const problem = problemSchema.parse(JSON.parse(text));
  expect(problem).toMatchObject({ status, code });
  return problem;
}

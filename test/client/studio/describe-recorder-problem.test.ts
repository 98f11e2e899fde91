import { expect, test } from "bun:test";
import { describeRecorderProblem } from "../../../client/studio/describe-recorder-problem.ts";

test.each(["recording-not-found", "recording-closed"] as const)(
  "%s is told as a deletion, with the way out",
  (code) => {
    expect(describeRecorderProblem({ code, message: "There is no recording." })).toBe(
      "The recording was deleted on the server, which takes nothing more for it. Stop here and start a new recording.",
    );
  },
);

test("a browser that cannot record the devices says why and what to use", () => {
  const sentence = describeRecorderProblem({ code: "not-supported", message: "It records none." });
  expect(sentence).toContain("(It records none). Choose other devices");
});

test("what has no sentence of its own keeps the recorder's words", () => {
  const message = "participantId must be a text of 1 to 128 characters.";
  expect(describeRecorderProblem({ code: "invalid-option", message })).toBe(message);
});

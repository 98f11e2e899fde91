import type { RetryCause, UploadRetry } from "../recorder/recorder.d.ts";
import { withoutStop } from "./describe-recorder-problem.ts";

/** Why uploads fail at the moment; they are repeated until they succeed. */
export type Trouble = Pick<UploadRetry, "cause" | "reason">;

/**
 * What an upload waits for, and what the person can do about it.
 *
 * @param reason a sentence of the recorder
 */
export function describeRetry(
  reason: string,
  cause: RetryCause | undefined,
): { readonly headline: string; readonly sentence: string } {
  const sentence = `${withoutStop(reason)}.`;
  switch (cause) {
    case "sign-in-needed": {
      const advice = "Sign in again in another tab; nothing that was recorded is lost.";
      return { headline: "Sign in again", sentence: `${sentence} ${advice}` };
    }
    case "body-too-large":
      return { headline: "Waiting for a proxy", sentence };
    case "origin-refused":
    case "permission-denied":
      return { headline: "The server is out of reach for this page", sentence };
    case "not-the-server":
    case "no-answer":
    case "server-busy":
    case "damaged-on-the-way":
    case undefined:
      return { headline: "Waiting for the server", sentence };
  }
}

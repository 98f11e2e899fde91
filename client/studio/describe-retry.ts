import type { RetryCause, UploadRetry } from "../recorder/recorder.d.ts";
import { withoutStop } from "./describe-recorder-problem.ts";

/** Why uploads fail at the moment; they are repeated until they succeed. */
export type Trouble = Pick<UploadRetry, "cause" | "reason">;

/** What an upload waits for, and what the person can do about it. */
export function describeRetry(
  reason: string,
  cause: RetryCause | undefined,
): { readonly headline: string; readonly sentence: string } {
  const words = withoutStop(reason);
  switch (cause) {
    case "sign-in-needed":
      return {
        headline: "Sign in again",
        sentence: `The way to the server asks for a sign-in (${words}). Sign in again in another tab; nothing that was recorded is lost.`,
      };
    case "body-too-large":
      return {
        headline: "Waiting for a proxy",
        sentence: `A part of the recording is too large for something between this page and the server (${words}).`,
      };
    case "origin-refused":
    case "permission-denied":
      return { headline: "The server is out of reach for this page", sentence: `${words}.` };
    case "not-the-server":
      return {
        headline: "Waiting for the server",
        sentence: `Something else answers in the server's place (${words}).`,
      };
    case "no-answer":
    case "server-busy":
    case "damaged-on-the-way":
    case undefined:
      return {
        headline: "Waiting for the server",
        sentence: `The server cannot be reached or is busy (${words}).`,
      };
  }
}

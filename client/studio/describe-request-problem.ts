import { RequestRefusedError, ServerUnreachableError } from "./api-client.ts";

/**
 * What went wrong with a request to the server, and what the person can do about it.
 *
 * @param doing - what was tried, as the start of a sentence: `The recording was not deleted`.
 * @throws what it is given, where that is no failure of a request.
 */
export function describeRequestProblem(error: unknown, doing: string): string {
  if (error instanceof ServerUnreachableError) {
    return `${doing}: the server cannot be reached. Check your connection and whether the server runs, then try again.`;
  }
  if (!(error instanceof RequestRefusedError)) throw error;
  switch (error.code) {
    case "recording-not-found":
      return `${doing}: it was deleted, here or elsewhere.`;
    case "recording-in-progress":
      return `${doing}: it is still being recorded. Stop it first.`;
    case "overloaded":
      return `${doing}: the server is busy right now. Try again in a moment.`;
    case "over-quota":
    case "storage-full":
      return `${doing}: the server's storage is full. Delete recordings that you do not need, or ask whoever runs the server for more space.`;
    case "storage-failed":
    case "internal":
      return `${doing}: the server has a fault (${error.message}). Whoever runs it finds more in its log.`;
    default:
      return `${doing}: ${error.message}`;
  }
}

import { Elysia } from "elysia";
import { ServerStoppingError } from "../recording/errors.ts";
import { pathOf } from "./request-target.ts";

/** What still answers when the server ends: it lives, until it does not. */
const LIVENESS_PATH = "/healthz";

/** Whether new requests are taken. */
export class Intake {
  #isClosed = false;

  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** From now on every new request is refused; those that were begun before are not touched. */
  close(): void {
    this.#isClosed = true;
  }
}

/** Refuses requests with 503 once the intake is closed, so that clients come again and are not cut off. */
export function intakeGate(intake: Intake) {
  return new Elysia({ name: "intake-gate" })
    .onRequest(({ request }) => {
      if (!intake.isClosed) return;
      if (pathOf(request.url) !== LIVENESS_PATH) throw new ServerStoppingError();
    })
    .as("global");
}

import type { RecorderClock, RecorderFetch } from "../recorder.d.ts";
import { systemClock } from "../system-clock.ts";
import { browserDisk, estimateBrowserStorage } from "./browser-storage.ts";
import { parseEvent, type UploadCommand, type UploadEvent } from "./upload-messages.ts";
import { UploadService } from "./upload-service.ts";
import { workerText } from "./worker-text.ts";

/** A worker that has not started by then is given up. */
const WORKER_START_MS_MAX = 10_000;

/** Sends a command to a service. */
export type PostCommand = (command: UploadCommand) => void;

/** Begins a service that tells its events to `receive`. */
export type ConnectUpload = (receive: (event: UploadEvent) => void) => PostCommand;

/** A service in the page itself, where functions of the app can be called. */
export function connectInPage(
  fetch: RecorderFetch = (url, init) => globalThis.fetch(url, init),
  clock: RecorderClock = systemClock,
): ConnectUpload {
  return (receive) => {
    const service = new UploadService({
      fetch,
      clock,
      disk: browserDisk(),
      estimateStorage: estimateBrowserStorage,
      // Later, as from a worker: no command is answered while it is being given.
      tell: (event) => queueMicrotask(() => receive(event)),
    });
    return (command) => service.handle(command);
  };
}

/**
 * A service in a worker; in the page where there is no worker, or the page's Content Security Policy
 * refuses it (Chromium tells so by an event, others throw). No command is lost by that: the worker
 * gets none before it says that it runs.
 */
export const connectWorker: ConnectUpload = (receive) => {
  const inPage = connectInPage();
  if (workerText === null || typeof Worker === "undefined") return inPage(receive);
  const url = URL.createObjectURL(new Blob([workerText], { type: "text/javascript" }));
  let worker: Worker;
  try {
    worker = new Worker(url, { name: "Track Capture uploads" });
  } catch {
    URL.revokeObjectURL(url);
    return inPage(receive);
  }
  const waiting: UploadCommand[] = [];
  let post: PostCommand = (command) => waiting.push(command);
  const begin = (postFrom: PostCommand): void => {
    clearTimeout(timer);
    URL.revokeObjectURL(url);
    worker.removeEventListener("error", refuse);
    post = postFrom;
    waiting.splice(0).forEach(postFrom);
  };
  const refuse = (event?: Event): void => {
    event?.preventDefault();
    worker.terminate();
    begin(inPage(receive));
  };
  const timer = setTimeout(refuse, WORKER_START_MS_MAX);
  worker.addEventListener("error", refuse);
  worker.addEventListener("message", ({ data }) => {
    const event = parseEvent(data);
    if (event.type === "ready") {
      begin((command) => worker.postMessage(command));
    } else {
      receive(event);
    }
  });
  return (command) => post(command);
};

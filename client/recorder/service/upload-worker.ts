/** The upload service in a worker of its own. The build makes a text of it: see `worker-text.ts`. */
import { systemClock } from "../system-clock.ts";
import { browserDisk, estimateBrowserStorage } from "./browser-storage.ts";
import { parseCommand } from "./upload-messages.ts";
import { UploadService } from "./upload-service.ts";

const service = new UploadService({
  fetch: (url, init) => fetch(url, init),
  clock: systemClock,
  disk: browserDisk(),
  estimateStorage: estimateBrowserStorage,
  tell: (event) => postMessage(event),
});

addEventListener("message", ({ data }) => service.handle(parseCommand(data)));

postMessage({ type: "ready" });

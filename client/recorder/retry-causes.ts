import type { UploadRetry } from "./recorder.d.ts";

const causes = {
  "no-answer": true,
  "server-busy": true,
  "sign-in-needed": true,
  "not-the-server": true,
  "body-too-large": true,
  "origin-refused": true,
  "permission-denied": true,
  "damaged-on-the-way": true,
} satisfies Record<UploadRetry["cause"], true>;

/** Every cause, for what comes from another thread. The compiler checks that none is missing. */
export const RETRY_CAUSES = Object.keys(causes).filter((name): name is UploadRetry["cause"] =>
  Object.hasOwn(causes, name),
);

/**
 * The code of `upload-worker.ts` with all that it imports, as one script: the build puts it here. A
 * worker cannot be started from another origin's URL, and apps of other origins import the library.
 * Without a build there is none, and the service runs in the page.
 */
export const workerText: string | null = null;

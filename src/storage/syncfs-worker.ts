// Calls syncfs(2) for syncfs.ts, off the server's thread, which it would block for some milliseconds.
import { FFIType, dlopen } from "bun:ffi";

declare const self: Worker;

const LIBRARIES = ["libc.so.6", "libc.musl-x86_64.so.1", "libc.musl-aarch64.so.1"];

function loadSyncfs(): ((fileDescriptor: number) => number) | undefined {
  for (const library of LIBRARIES) {
    try {
      const { symbols } = dlopen(library, {
        syncfs: { args: [FFIType.i32], returns: FFIType.i32 },
      });
      return symbols.syncfs;
    } catch {
      // This system's C library has another name; without any, files are synced one by one.
    }
  }
  return undefined;
}

const syncfs = loadSyncfs();

self.addEventListener("message", (event: MessageEvent<number>) => {
  self.postMessage(syncfs?.(event.data) === 0);
});
self.postMessage(syncfs !== undefined);

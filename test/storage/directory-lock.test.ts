import { expect, test } from "bun:test";
import { join } from "node:path";
import { DirectoryInUseError, DirectoryLock } from "../../src/storage/directory-lock.ts";
import { temporaryDirectory } from "../support/temporary-directory.ts";

test("a lock is one process's until it lets go of it or dies", async () => {
  await using directory = await temporaryDirectory();
  const path = join(directory.path, "server.lock");
  const holder = Bun.spawn(
    [
      process.execPath,
      "-e",
      `import { DirectoryLock } from ${JSON.stringify(import.meta.resolve("../../src/storage/directory-lock.ts"))};
       const lock = DirectoryLock.take(${JSON.stringify(path)}, "x");
       process.stdout.write("taken");
       setInterval(() => lock, 1_000);`,
    ],
    { stdout: "pipe", stderr: "inherit" },
  );
  const reader = holder.stdout.getReader();
  await reader.read();
  expect(() => DirectoryLock.take(path, "recordings")).toThrow(DirectoryInUseError);

  holder.kill("SIGKILL");
  await holder.exited;
  const lock = DirectoryLock.take(path, "recordings");
  expect(() => DirectoryLock.take(path, "recordings")).toThrow("recordings is in use");
  lock.release();
  DirectoryLock.take(path, "recordings").release();
});

import { expect, test } from "bun:test";
import { open } from "node:fs/promises";
import { join } from "node:path";
import { GroupSync } from "../../src/storage/group-sync.ts";
import { Syncfs } from "../../src/storage/syncfs.ts";
import { temporaryDirectory } from "../support/temporary-directory.ts";

test("many files are synced together where the file system allows it, and one by one elsewhere", async () => {
  await using directory = await temporaryDirectory();
  const syncfs = await Syncfs.start(directory.path);
  // tmpfs and network file systems have none; the server then syncs each file by itself.
  if (syncfs === undefined) return;
  try {
    expect(await syncfs.syncAll()).toBe(true);
    const sync = new GroupSync(syncfs);
    const handles = await Promise.all(
      Array.from({ length: 40 }, (_, i) => open(join(directory.path, String(i)), "w")),
    );
    await Promise.all(
      handles.map(async (handle) => {
        for (let round = 0; round < 5; round += 1) {
          await handle.write("bytes");
          await sync.sync(handle);
        }
        await handle.close();
      }),
    );
  } finally {
    await syncfs.stop();
  }
});

test("is not used where it is not known to be safe", async () => {
  expect(await Syncfs.start("/proc")).toBeUndefined();
});

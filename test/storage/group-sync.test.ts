import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { type FileHandle, mkdtemp, open, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type FileSystemSync, GroupSync } from "../../src/storage/group-sync.ts";
import { until } from "../support/until.ts";

const LIMITS = {
  separateMax: 2,
  slowMs: 60_000,
  slowCoolDownMs: 60_000,
  failureCoolDownMs: 90_000,
};

/** A file system whose syncs are ended by the test. */
class SteeredSync implements FileSystemSync {
  readonly calls: ((succeeded: boolean) => void)[] = [];

  syncAll(): Promise<boolean> {
    const { promise, resolve } = Promise.withResolvers<boolean>();
    this.calls.push(resolve);
    return promise;
  }

  /** Resolves when the nth sync was asked for, with the function that ends it. */
  call(n: number): Promise<(succeeded: boolean) => void> {
    return until(async () => this.calls[n - 1], {
      what: `sync ${n} of the file system`,
      timeoutMs: 10_000,
    });
  }
}

describe("GroupSync", () => {
  let directory: string;
  let handles: FileHandle[];
  let fileSystem: SteeredSync;
  let settled: string[];

  const file = (i: number): FileHandle => {
    const handle = handles[i];
    if (handle === undefined) throw new RangeError(`there is no file ${i}`);
    return handle;
  };

  /** Syncs a file and notes what came of it. */
  const note = async (sync: GroupSync, i: number): Promise<void> => {
    try {
      await sync.sync(file(i));
      settled.push(`${i} synced`);
    } catch {
      settled.push(`${i} failed`);
    }
  };

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), "group-sync-"));
    handles = await Promise.all(
      Array.from({ length: 8 }, (_, i) => open(join(directory, String(i)), "w")),
    );
    fileSystem = new SteeredSync();
    settled = [];
  });

  afterEach(async () => {
    await Promise.all(handles.map((handle) => handle.close()));
    await rm(directory, { recursive: true });
  });

  test("syncs few files each by itself", async () => {
    const sync = new GroupSync(fileSystem, LIMITS);
    await Promise.all([note(sync, 0), note(sync, 1)]);
    expect(settled.toSorted()).toEqual(["0 synced", "1 synced"]);
    expect(fileSystem.calls).toEqual([]);
  });

  test("lets the files that wait at the same time share one sync, begun after they were written", async () => {
    const sync = new GroupSync(fileSystem, LIMITS);
    const first = [0, 1, 2].map((i) => note(sync, i));
    const endFirst = await fileSystem.call(1);
    // They came while a sync was under way, which may not cover them: they wait for the next.
    const second = [3, 4, 5, 6].map((i) => note(sync, i));
    endFirst(true);
    await Promise.all(first);
    const endSecond = await fileSystem.call(2);
    expect(settled.toSorted()).toEqual(["0 synced", "1 synced", "2 synced"]);
    endSecond(true);
    await Promise.all(second);
    expect(fileSystem.calls.length).toBe(2);
    expect(settled.length).toBe(7);
  });

  test("after a failed sync of the file system trusts only what each file says itself", async () => {
    const sync = new GroupSync(fileSystem, LIMITS);
    const group = [0, 1, 2].map((i) => note(sync, i));
    const waiting = [3, 4, 5].map((i) => note(sync, i));
    (await fileSystem.call(1))(true);
    await Promise.all(group);
    const end = await fileSystem.call(2);
    // A file whose own sync fails, as after a failed write.
    await file(4).close();
    end(false);
    await Promise.all(waiting);
    expect(settled.slice(3).toSorted()).toEqual(["3 synced", "4 failed", "5 synced"]);
    handles.splice(4, 1);
  });

  test("after a failed sync of the file system asks none of files that were written meanwhile", async () => {
    const sync = new GroupSync(fileSystem, LIMITS);
    const group = [0, 1, 2, 3, 4].map((i) => note(sync, i));
    const end = await fileSystem.call(1);
    const meanwhile = [5, 6, 7].map((i) => note(sync, i));
    end(false);
    await Promise.all([...group, ...meanwhile]);
    await Promise.all([0, 1, 2, 3, 4].map((i) => note(sync, i)));
    expect(settled.filter((line) => line.endsWith("synced")).length).toBe(13);
    expect(fileSystem.calls.length).toBe(1);
  });

  test("does not wait for a file system that others keep busy, and leaves it alone for a while", async () => {
    let nowMs = 0;
    const sync = new GroupSync(fileSystem, { ...LIMITS, slowMs: 1 }, () => nowMs);
    const group = [0, 1, 2, 3, 4].map((i) => note(sync, i));
    const end = await fileSystem.call(1);
    await Promise.all(group);
    await Promise.all([0, 1, 2, 3, 4].map((i) => note(sync, i)));
    end(true);
    await Promise.all([0, 1, 2, 3, 4].map((i) => note(sync, i)));
    expect(settled.filter((line) => line.endsWith("synced")).length).toBe(15);
    expect(fileSystem.calls.length).toBe(1);
    nowMs = LIMITS.slowCoolDownMs;
    const later = [0, 1, 2].map((i) => note(sync, i));
    (await fileSystem.call(2))(true);
    await Promise.all(later);
  });

  test("leaves it alone for longer when the sync that took too long has failed", async () => {
    let nowMs = 0;
    const sync = new GroupSync(fileSystem, { ...LIMITS, slowMs: 1 }, () => nowMs);
    const group = [0, 1, 2, 3, 4].map((i) => note(sync, i));
    const end = await fileSystem.call(1);
    await Promise.all(group);
    end(false);
    await Promise.all([0, 1, 2, 3, 4].map((i) => note(sync, i)));
    // After a success it would be trusted again by now.
    nowMs = LIMITS.slowCoolDownMs;
    await Promise.all([0, 1, 2, 3, 4].map((i) => note(sync, i)));
    expect(fileSystem.calls.length).toBe(1);
  });
});

import { mkdtempSync, rmdirSync } from "node:fs";
import { mkdir, open, rm, statfs } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { temporaryDirectory } from "../../support/temporary-directory.ts";

/** A file system of its own that is soon full. */
export interface SmallDisk extends AsyncDisposable {
  readonly path: string;
  /** Takes every byte that is left, or all but so many. */
  fill(leftBytes?: number): Promise<void>;
  /** Gives back what `fill` took. */
  free(): Promise<void>;
}

/** Why no small disk can be made here; undefined when it can. */
export function smallDiskObstacle(): string | undefined {
  if (process.platform !== "linux") return "only Linux has tmpfs";
  if (process.getuid?.() !== 0) return "mounting a tmpfs takes root";
  // A container's root may not be allowed to.
  const path = mkdtempSync(join(tmpdir(), "track-capture-test-"));
  const mounted = Bun.spawnSync(["mount", "-t", "tmpfs", "-o", "size=4096", "tmpfs", path]);
  if (mounted.success) Bun.spawnSync(["umount", path]);
  rmdirSync(path);
  return mounted.success ? undefined : `no tmpfs: ${mounted.stderr.toString().trim()}`;
}

/** Mounts a tmpfs (tmpfs(5)) of so many bytes; disposing unmounts it. */
export async function smallDisk(bytes: number): Promise<SmallDisk> {
  await using parts = new AsyncDisposableStack();
  const directory = parts.use(await temporaryDirectory());
  const path = join(directory.path, "disk");
  await mkdir(path);
  await run(["mount", "-t", "tmpfs", "-o", `size=${bytes}`, "tmpfs", path]);
  parts.defer(() => run(["umount", path]));
  const whole = parts.move();
  const fillerPath = join(path, "filler");
  return {
    path,
    fill: async (leftBytes = 0) => {
      const handle = await open(fillerPath, "a");
      try {
        for (let blockBytes = 64 * 1024; blockBytes >= 4 * 1024; blockBytes /= 2) {
          const { bavail, bsize } = await statfs(path);
          const blocksMax = Math.max(0, Math.floor((bavail * bsize - leftBytes) / blockBytes));
          const block = new Uint8Array(blockBytes);
          await writeUntilFull(handle, block, leftBytes === 0 ? Infinity : blocksMax);
        }
      } finally {
        await handle.close();
      }
    },
    free: () => rm(fillerPath),
    [Symbol.asyncDispose]: () => whole.disposeAsync(),
  };
}

async function writeUntilFull(
  handle: { write(bytes: Uint8Array): Promise<{ bytesWritten: number }> },
  block: Uint8Array,
  blocksMax: number,
): Promise<void> {
  try {
    for (let i = 0; i < blocksMax; i += 1) await handle.write(block);
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "ENOSPC")) throw error;
  }
}

async function run(command: string[]): Promise<void> {
  const child = Bun.spawn(command, { stdio: ["ignore", "ignore", "pipe"] });
  const words = await new Response(child.stderr).text();
  if ((await child.exited) !== 0) throw new Error(`${command.join(" ")}: ${words}`);
}

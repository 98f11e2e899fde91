import { rm, statfs, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { temporaryDirectory } from "./temporary-directory.ts";

/** A file system of its own that a test can fill. */
export interface SmallDisk extends AsyncDisposable {
  readonly path: string;
  /** Takes all its space but `leftBytes`. */
  fill(leftBytes: number): Promise<void>;
  /** Gives the space that `fill` took back. */
  empty(): Promise<void>;
}

/** Why this machine has no small disks, in the system's words; undefined when it has. */
export async function smallDiskProblem(): Promise<string | undefined> {
  try {
    await using _disk = await mountSmallDisk(1_048_576);
    return undefined;
  } catch (error) {
    if (error instanceof NotMountableError) return error.message;
    throw error;
  }
}

/** No tmpfs can be mounted here. */
export class NotMountableError extends Error {}

/**
 * Mounts a tmpfs of this size; disposing it unmounts it. It takes Linux and root.
 *
 * @throws NotMountableError
 */
export async function mountSmallDisk(bytes: number): Promise<SmallDisk> {
  const mount = Bun.which("mount");
  if (mount === null) throw new NotMountableError("there is no mount command");
  const directory = await temporaryDirectory();
  const { path } = directory;
  const mounted = Bun.spawnSync([mount, "-t", "tmpfs", "-o", `size=${bytes}`, "tmpfs", path]);
  if (mounted.exitCode !== 0) {
    await directory[Symbol.asyncDispose]();
    throw new NotMountableError(mounted.stderr.toString().trim());
  }
  const fillerPath = join(path, "filler");
  return {
    path,
    fill: async (leftBytes) => {
      const { bavail, bsize } = await statfs(path);
      await writeFile(fillerPath, Buffer.alloc(Math.max(0, bavail * bsize - leftBytes)));
    },
    empty: () => rm(fillerPath, { force: true }),
    [Symbol.asyncDispose]: async () => {
      const unmounted = Bun.spawnSync(["umount", path]);
      if (unmounted.exitCode !== 0) throw new Error(unmounted.stderr.toString());
      await directory[Symbol.asyncDispose]();
    },
  };
}

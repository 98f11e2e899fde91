import { readdir, readlink } from "node:fs/promises";

/** Paths of all files under `directory` that this process has open (proc(5)). */
export async function openFilesUnder(directory: string): Promise<string[]> {
  const links = await readdir("/proc/self/fd");
  const paths = await Promise.all(
    // The listing's own is gone by then.
    links.map((link) => readlink(`/proc/self/fd/${link}`).catch(() => "")),
  );
  return paths.filter((path) => path.startsWith(directory));
}

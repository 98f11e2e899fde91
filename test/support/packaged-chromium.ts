import { createReadStream, createWriteStream } from "node:fs";
import { mkdtemp, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { pipeline } from "node:stream/promises";
import { fileURLToPath } from "node:url";
import { brotliDecompressSync, createBrotliDecompress } from "node:zlib";
import { z } from "zod";

const packageSchema = z.object({ version: z.string() });

/** A browser that runs on a machine which has none of its libraries and fonts. */
export interface PackagedChromium {
  readonly executablePath: string;
  /** To be added to the browser's environment. */
  readonly env: Readonly<Record<string, string>>;
}

/**
 * Unpacks the browser inside the npm package `@sparticuz/chromium`, with the libraries and fonts
 * that it carries, into the system's temporary folder, where later calls find it: 220 MB, 4 s. The
 * package's own `executablePath()` would take any file called `chromium` there, of whatever version.
 */
export async function packagedChromium(): Promise<PackagedChromium> {
  const packageUrl = new URL("../", import.meta.resolve("@sparticuz/chromium"));
  const packageFile = Bun.file(new URL("package.json", packageUrl));
  const { version } = packageSchema.parse(await packageFile.json());
  const directory = join(tmpdir(), `track-capture-chromium-${version}`);
  if (!(await exists(directory))) {
    await unpack(fileURLToPath(new URL("bin/", packageUrl)), directory);
  }
  return {
    executablePath: join(directory, "chromium"),
    env: {
      LD_LIBRARY_PATH: [join(directory, "lib"), process.env["LD_LIBRARY_PATH"] ?? []]
        .flat()
        .join(":"),
      FONTCONFIG_FILE: join(directory, "fonts.conf"),
    },
  };
}

/** Makes `directory` in one step, so that two test runs at once never see half of it. */
async function unpack(archives: string, directory: string): Promise<void> {
  const unfinished = await mkdtemp(`${directory}-`);
  try {
    await Promise.all([
      pipeline(
        createReadStream(join(archives, "chromium.br")),
        createBrotliDecompress(),
        createWriteStream(join(unfinished, "chromium"), { mode: 0o755 }),
      ),
      extract(join(archives, "al2023.tar.br"), unfinished),
      extract(join(archives, "fonts.tar.br"), unfinished),
    ]);
    // The packaged one names folders of a cloud function's machine.
    await writeFile(
      join(unfinished, "fonts.conf"),
      `<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig>
  <dir>${join(directory, "fonts")}</dir>
  <cachedir>${join(directory, "fonts-cache")}</cachedir>
</fontconfig>
`,
    );
    await rename(unfinished, directory);
  } catch (error) {
    await rm(unfinished, { recursive: true, force: true });
    // Another run was faster.
    if (await exists(directory)) return;
    throw new Error(`${basename(directory)} could not be unpacked`, { cause: error });
  }
}

async function extract(archivePath: string, directory: string): Promise<void> {
  await new Bun.Archive(brotliDecompressSync(await readFile(archivePath))).extract(directory);
}

async function exists(path: string): Promise<boolean> {
  try {
    await stat(path);
    return true;
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return false;
    throw error;
  }
}

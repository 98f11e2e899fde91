import { copyFile, mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const clientDirectory = fileURLToPath(new URL("../../client", import.meta.url));

/** What browsers load, built and ready to be served. */
export interface ClientAssets {
  /** Files under `/client/`, whose names stay. */
  readonly libraryDirectory: string;
  /** Files under `/assets/`, whose names change with their content. */
  readonly hashedDirectory: string;
  /** The page at `/`. */
  readonly studioPage: string;
  /** Removes the built files. */
  stop(): Promise<void>;
}

/** The client's code cannot be built: the message holds the bundler's words. */
export class ClientBuildError extends Error {
  override readonly name = "ClientBuildError";
}

/**
 * Builds the client library and the studio page into a new temporary directory: never into that of
 * the recordings, which holds data only.
 *
 * @throws ClientBuildError
 */
export async function buildClientAssets(): Promise<ClientAssets> {
  const root = await mkdtemp(join(tmpdir(), "track-capture-client-"));
  const stop = () => rm(root, { recursive: true, force: true });
  const libraryDirectory = join(root, "client");
  const studioDirectory = join(root, "studio");
  const hashedDirectory = join(studioDirectory, "assets");
  try {
    await mkdir(hashedDirectory, { recursive: true });
    await build({
      entrypoints: [join(clientDirectory, "recorder/client-recorder.ts")],
      outdir: libraryDirectory,
      naming: "recorder.[ext]",
    });
    await copyFile(
      join(clientDirectory, "recorder/recorder.d.ts"),
      join(libraryDirectory, "recorder.d.ts"),
    );
    await build({
      entrypoints: [join(clientDirectory, "studio/index.html")],
      outdir: studioDirectory,
      publicPath: "/",
      naming: {
        entry: "[name].[ext]",
        chunk: "assets/[name]-[hash].[ext]",
        asset: "assets/[name]-[hash].[ext]",
      },
    });
    const studioPage = await Bun.file(join(studioDirectory, "index.html")).text();
    return { libraryDirectory, hashedDirectory, studioPage, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function build(config: Omit<Bun.BuildConfig, "target" | "format">): Promise<void> {
  const { success, logs } = await Bun.build({
    target: "browser",
    format: "esm",
    minify: true,
    sourcemap: "linked",
    throw: false,
    ...config,
  });
  if (success) return;
  throw new ClientBuildError(`The client cannot be built:\n${logs.map(String).join("\n")}`);
}

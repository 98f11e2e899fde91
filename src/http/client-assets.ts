import { fileURLToPath } from "node:url";

/** What lies there has the hash of its content in its name. */
const HASHED_DIRECTORY = "./assets/";

const clientUrl = new URL("../../client/", import.meta.url);

/** A file that browsers load. */
export interface ClientAsset {
  /** From the server's root. */
  readonly path: string;
  readonly contentType: string;
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** Whether its name changes with its content, so that a copy of it stays right for good. */
  readonly isHashed: boolean;
}

/** The client's code cannot be built: the message holds the bundler's words. */
export class ClientBuildError extends Error {
  override readonly name = "ClientBuildError";
}

/**
 * Builds what browsers load, in memory: the client library at `/client/recorder.js` with its types
 * beside it, and the studio page at `/`.
 *
 * @throws ClientBuildError
 */
export async function buildClientAssets(): Promise<ClientAsset[]> {
  const worker = await uploadWorkerPlugin();
  const library = await build("recorder/client-recorder.ts", "/client/", worker, {
    entry: "recorder.[ext]",
  });
  const studio = await build("studio/index.html", "/", worker, {
    entry: "[name].[ext]",
    chunk: "assets/[name]-[hash].[ext]",
    asset: "assets/[name]-[hash].[ext]",
  });
  const types: ClientAsset = {
    path: "/client/recorder.d.ts",
    // There is no registered type; browsers show it and TypeScript does not mind.
    contentType: "text/plain; charset=utf-8",
    bytes: await Bun.file(new URL("recorder/recorder.d.ts", clientUrl)).bytes(),
    isHashed: false,
  };
  return [...library, types, ...studio];
}

/**
 * Puts the upload worker into the library, as a text from which it starts it. One module can be
 * imported by apps of other origins; a worker's own URL could not be opened by them.
 *
 * @throws ClientBuildError
 */
export async function uploadWorkerPlugin(): Promise<Bun.BunPlugin> {
  const { success, logs, outputs } = await Bun.build({
    entrypoints: [fileURLToPath(new URL("recorder/service/upload-worker.ts", clientUrl))],
    target: "browser",
    format: "iife",
    minify: true,
    throw: false,
  });
  if (!success) throw buildError(logs);
  const text = (await Promise.all(outputs.map((output) => output.text()))).join("\n");
  return {
    name: "upload-worker",
    setup: (builder) => {
      builder.onLoad({ filter: /[\\/]service[\\/]worker-text\.ts$/ }, () => ({
        contents: `export const workerText = ${JSON.stringify(text)};`,
        loader: "js",
      }));
    },
  };
}

/** @param prefix where the files are served, with a slash at both ends */
async function build(
  entrypoint: string,
  prefix: string,
  plugin: Bun.BunPlugin,
  naming: { readonly [kind in "entry" | "chunk" | "asset"]?: string },
): Promise<ClientAsset[]> {
  const { success, logs, outputs } = await Bun.build({
    entrypoints: [fileURLToPath(new URL(entrypoint, clientUrl))],
    target: "browser",
    format: "esm",
    minify: true,
    sourcemap: "linked",
    publicPath: prefix,
    naming,
    plugins: [plugin],
    throw: false,
  });
  if (!success) throw buildError(logs);
  return Promise.all(
    // Without an output directory, paths are relative: `./recorder.js`.
    outputs.map(async (output) => ({
      path: prefix + output.path.replace(/^\.\//, ""),
      contentType: output.type,
      bytes: new Uint8Array(await output.arrayBuffer()),
      isHashed: output.path.startsWith(HASHED_DIRECTORY),
    })),
  );
}

function buildError(logs: readonly unknown[]): ClientBuildError {
  return new ClientBuildError(`The client cannot be built:\n${logs.map(String).join("\n")}`);
}

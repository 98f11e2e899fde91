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
  const library = await build("recorder/client-recorder.ts", "/client/", {
    entry: "recorder.[ext]",
  });
  const studio = await build("studio/index.html", "/", {
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

/** @param prefix where the files are served, with a slash at both ends */
async function build(
  entrypoint: string,
  prefix: string,
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
    throw: false,
  });
  if (!success) {
    throw new ClientBuildError(`The client cannot be built:\n${logs.map(String).join("\n")}`);
  }
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

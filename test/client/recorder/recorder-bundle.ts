import { fileURLToPath } from "node:url";
import { uploadWorkerPlugin } from "../../../src/http/client-assets.ts";

/** The library as the server serves it: one ES module, minified. */
export async function recorderBundle(): Promise<string> {
  return bundleForBrowser(new URL("../../../client/recorder/client-recorder.ts", import.meta.url));
}

/** The page's own part of the browser tests. */
export async function recorderPageBundle(): Promise<string> {
  return bundleForBrowser(new URL("./recorder-page.ts", import.meta.url));
}

/** A module with all that it imports, and with the upload worker in it, as the server builds it. */
export async function bundleForBrowser(url: URL): Promise<string> {
  const { outputs } = await Bun.build({
    entrypoints: [fileURLToPath(url)],
    target: "browser",
    minify: true,
    plugins: [await uploadWorkerPlugin()],
  });
  const [output] = outputs;
  if (output === undefined) throw new Error(`${url.pathname} gave no bundle`);
  return output.text();
}

import { fileURLToPath } from "node:url";
import { uploadWorkerPlugin } from "../../../src/http/client-assets.ts";

/** The library as the server serves it: one ES module, minified. */
export async function recorderBundle(): Promise<string> {
  return bundle("../../../client/recorder/client-recorder.ts");
}

/** The page's own part of the browser tests. */
export async function recorderPageBundle(): Promise<string> {
  return bundle("./recorder-page.ts");
}

async function bundle(path: string): Promise<string> {
  const { outputs } = await Bun.build({
    entrypoints: [fileURLToPath(new URL(path, import.meta.url))],
    target: "browser",
    minify: true,
    plugins: [await uploadWorkerPlugin()],
  });
  const [output] = outputs;
  if (output === undefined) throw new Error(`${path} gave no bundle`);
  return output.text();
}

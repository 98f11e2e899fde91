const fixtures = new URL("../fixtures/", import.meta.url);

/** The guide's code for browsers: its class of option 1, and the base64 example of its step 3. */
export type GuideExample = "guide-client-recorder" | "guide-base64-client";

/** An example as it stands in the guide, in TypeScript. */
function guideText(example: GuideExample): Promise<string> {
  return Bun.file(new URL(`${example}.txt`, fixtures)).text();
}

/**
 * An example as a browser runs it: types stripped, as any build would, and its requests sent to
 * `serverUrl` instead of the page's own origin. Nothing else is changed.
 */
export async function guideScript(example: GuideExample, serverUrl: string): Promise<string> {
  const typed = await guideText(example);
  const withOrigin = typed.replaceAll("fetch('/", `fetch('${serverUrl}/`);
  return new Bun.Transpiler({ loader: "ts" }).transformSync(withOrigin);
}

import { describe, expect, test } from "bun:test";
import { cp } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import * as source from "../../../client/recorder/client-recorder.ts";
import type * as published from "../../../client/recorder/recorder.d.ts";
import { temporaryDirectory } from "../../support/temporary-directory.ts";
import { recorderBundle } from "./recorder-bundle.ts";

/** The public part of a class's instances; what is private makes two classes incompatible. */
type Public<T> = Pick<T, keyof T>;

/** True when each can stand for the other; the tuples keep unions whole. */
type Same<A, B> = [A, B] extends [B, A] ? true : false;

/*
 * The published types are the source's own, except for the two classes: there the compiler checks
 * here that each side has the same members, of the same types, and is constructed alike.
 */
const typesAgree: {
  readonly recorder: Same<Public<source.ClientRecorder>, Public<published.ClientRecorder>>;
  readonly recorderOptions: Same<
    ConstructorParameters<typeof source.ClientRecorder>,
    ConstructorParameters<typeof published.ClientRecorder>
  >;
  readonly error: Same<Omit<source.RecorderError, "name">, Omit<published.RecorderError, "name">>;
  readonly errorDetails: Same<
    ConstructorParameters<typeof source.RecorderError>,
    ConstructorParameters<typeof published.RecorderError>
  >;
  readonly values: Same<keyof typeof source, keyof typeof published>;
} = { recorder: true, recorderOptions: true, error: true, errorDetails: true, values: true };

const typesFile = fileURLToPath(new URL("../../../client/recorder/recorder.d.ts", import.meta.url));

const compiler = fileURLToPath(
  new URL("../../../node_modules/typescript/bin/tsc", import.meta.url),
);

const CONSUMER_CONFIG = {
  compilerOptions: {
    target: "es2022",
    lib: ["es2022", "dom"],
    module: "esnext",
    moduleResolution: "bundler",
    types: [],
    strict: true,
    exactOptionalPropertyTypes: true,
    skipLibCheck: false,
    noEmit: true,
  },
};

/** What an app of the implementation guide looks like, in strict TypeScript. */
const CONSUMER = `
import { ClientRecorder, RecorderError, type RecorderProgress } from "./recorder.js";

export async function record(stream: MediaStream, recordingId: string): Promise<RecorderProgress> {
  const recorder = new ClientRecorder();
  recorder.participantId = "alice";
  const off: () => void = recorder.on("progress", ({ pending }) => pending.seconds.toFixed());
  recorder.on("error", (error: RecorderError) => error.code === "recording-closed");
  await recorder.startRecording(stream, recordingId);
  await recorder.stopRecording();
  off();
  // @ts-expect-error -- there is no such event
  recorder.on("nonsense", () => undefined);
  // @ts-expect-error -- there is no such option
  return new ClientRecorder({ participant: "alice" }).progress;
}
`;

describe("the published module", () => {
  test("has types that agree with its source", () => {
    expect(Object.values(typesAgree)).not.toContain(false);
    expect(Object.keys(source).toSorted()).toEqual(["ClientRecorder", "RecorderError"]);
  });

  test("has types that stand alone and serve a strict app", async () => {
    await using directory = await temporaryDirectory();
    await cp(typesFile, join(directory.path, "recorder.d.ts"));
    await Bun.write(join(directory.path, "app.ts"), CONSUMER);
    await Bun.write(join(directory.path, "tsconfig.json"), JSON.stringify(CONSUMER_CONFIG));
    const { exitCode, stdout } = Bun.spawnSync([process.execPath, compiler, "-p", directory.path]);
    expect(stdout.toString()).toBe("");
    expect(exitCode).toBe(0);
  });

  test("is one small module without dependencies", async () => {
    const text = await recorderBundle();
    expect(text).not.toMatch(/^\s*import\b/m);
    expect(text).not.toContain("zod");
    // Its own code, in the page and once more in the worker, is about 25 KB as it is transferred; a
    // dependency would show.
    expect(Bun.gzipSync(text).length).toBeLessThan(28_000);
    expect(text).toMatch(/export\s*\{[^}]*\bas ClientRecorder\b[^}]*\}/);
  });
});

import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { chmod, writeFile } from "node:fs/promises";
import { join } from "node:path";
import {
  type FfmpegLookup,
  FfmpegNotFoundError,
  FfmpegPathUnusableError,
  abilitiesOf,
  resolveFfmpeg,
  systemFfmpegLookup,
} from "../../src/process/ffmpeg-binary.ts";
import { type TemporaryDirectory, temporaryDirectory } from "../support/temporary-directory.ts";

const NOTHING: FfmpegLookup = {
  ffmpegPath: undefined,
  packagedPath: () => undefined,
  onPath: () => undefined,
};

describe("resolveFfmpeg", () => {
  let directory: TemporaryDirectory;
  beforeEach(async () => {
    directory = await temporaryDirectory();
  });
  afterEach(async () => {
    await directory[Symbol.asyncDispose]();
  });

  const program = async (name: string, script: string): Promise<string> => {
    const path = join(directory.path, name);
    await writeFile(path, `#!/bin/sh\n${script}\n`);
    await chmod(path, 0o755);
    return path;
  };
  const working = (name: string, version: string): Promise<string> =>
    program(name, `echo "ffmpeg version ${version} Copyright"; echo "libavformat    59. 27.100 /"`);

  test("tries FFMPEG_PATH, ffmpeg-static, PATH and @ffmpeg-installer, in that order", async () => {
    const paths = {
      own: await working("own", "own"),
      static: await working("static", "static"),
      path: await working("path", "path"),
      installer: await working("installer", "installer"),
    };
    const all: FfmpegLookup = {
      ffmpegPath: paths.own,
      packagedPath: (name) => (name === "ffmpeg-static" ? paths.static : paths.installer),
      onPath: () => paths.path,
    };
    const installerOnly = (name: string): string | undefined =>
      name === "ffmpeg-static" ? undefined : paths.installer;
    const served = [
      await resolveFfmpeg(all),
      await resolveFfmpeg({ ...all, ffmpegPath: undefined }),
      await resolveFfmpeg({ ...all, ffmpegPath: undefined, packagedPath: installerOnly }),
      await resolveFfmpeg({ ...NOTHING, packagedPath: installerOnly }),
    ].map(({ source, version, path }) => ({ source, version, path }));
    expect(served).toEqual([
      { source: "FFMPEG_PATH", version: "own", path: paths.own },
      { source: "ffmpeg-static", version: "static", path: paths.static },
      { source: "PATH", version: "path", path: paths.path },
      { source: "@ffmpeg-installer/ffmpeg", version: "installer", path: paths.installer },
    ]);
  });

  test("goes on to the next when one does not run", async () => {
    const broken = await program("broken", "exit 1");
    const good = await working("good", "7.1");
    const found = await resolveFfmpeg({
      ...NOTHING,
      packagedPath: (name) => (name === "ffmpeg-static" ? join(directory.path, "none") : undefined),
      onPath: () => broken,
    }).catch((error: unknown) => error);
    expect(found).toBeInstanceOf(FfmpegNotFoundError);
    const served = await resolveFfmpeg({
      ...NOTHING,
      packagedPath: (name) => (name === "ffmpeg-static" ? broken : good),
    });
    expect(served).toMatchObject({ source: "@ffmpeg-installer/ffmpeg", version: "7.1" });
  });

  test("an FFMPEG_PATH that does not work is an error, though others would", async () => {
    const good = await working("good", "7.1");
    const lookup = { ...NOTHING, ffmpegPath: "/no/such/ffmpeg", onPath: () => good };
    const resolving = resolveFfmpeg(lookup);
    expect(resolving).rejects.toBeInstanceOf(FfmpegPathUnusableError);
    expect(resolving).rejects.toThrow("/no/such/ffmpeg");
    await resolving.catch(() => undefined);
  });

  test("a program that is no ffmpeg does not serve", async () => {
    const other = await program("other", "echo hello");
    const resolving = resolveFfmpeg({ ...NOTHING, ffmpegPath: other });
    expect(resolving).rejects.toThrow("does not answer -version as an ffmpeg does");
    await resolving.catch(() => undefined);
  });

  test("when none is found the error tells what was tried and why each failed", async () => {
    const broken = await program("broken", "exit 3");
    const error = await resolveFfmpeg({ ...NOTHING, onPath: () => broken }).catch(
      (caught: unknown) => caught,
    );
    expect(error).toBeInstanceOf(FfmpegNotFoundError);
    if (!(error instanceof FfmpegNotFoundError)) return;
    expect(error.attempts.map(({ source }) => source)).toEqual([
      "FFMPEG_PATH",
      "ffmpeg-static",
      "PATH",
      "@ffmpeg-installer/ffmpeg",
    ]);
    expect(error.message).toContain(`PATH (${broken}): it ended with code 3`);
  });

  test("finds one on this machine, by what npm installed alone if need be", async () => {
    const found = await resolveFfmpeg(systemFfmpegLookup({ PATH: directory.path }));
    expect(found.version).not.toBe("");
    expect(["ffmpeg-static", "@ffmpeg-installer/ffmpeg"]).toContain(found.source);
  });
});

describe("abilitiesOf", () => {
  test.each([
    ["libavformat    58. 20.100 / 58. 20.100", { fpsMode: false, av1InMp4: false }],
    ["libavformat    58. 29.100 / 58. 29.100", { fpsMode: false, av1InMp4: true }],
    ["libavformat    59. 16.100 / 59. 16.100", { fpsMode: false, av1InMp4: true }],
    ["libavformat    59. 27.100 / 59. 27.100", { fpsMode: true, av1InMp4: true }],
    ["libavformat    62.  3.100 / 62.  3.100", { fpsMode: true, av1InMp4: true }],
  ])("reads %p", (line, abilities) => {
    expect(abilitiesOf(`ffmpeg version x\n${line}\n`)).toEqual(abilities);
  });
});

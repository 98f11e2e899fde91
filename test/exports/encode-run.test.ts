import { chmod, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "bun:test";
import { readConfig } from "../../src/config.ts";
import { finalizeLimits } from "../../src/configured-limits.ts";
import { findNamesFont } from "../../src/exports/composite/names-font.ts";
import { runEncode } from "../../src/exports/encode-run.ts";
import { judgeFfmpeg } from "../support/judge-ffmpeg.ts";
import { temporaryDirectory } from "../support/temporary-directory.ts";

test("an encode may be silent at its end for as long as moving a long output takes", async () => {
  await using directory = await temporaryDirectory();
  const path = join(directory.path, "ffmpeg");
  await writeFile(path, "#!/bin/sh\necho out_time_ms=60000000\nsleep 2\n");
  await chmod(path, 0o755);
  const shares: number[] = [];
  await runEncode({
    inputs: [],
    filters: [],
    outputs: [],
    context: {
      durationMs: 60_000,
      tracks: [],
      workDirectory: directory.path,
      ffmpeg: { ...(await judgeFfmpeg()), path },
      confinement: { prlimit: undefined, setpriv: undefined },
      limits: { ...finalizeLimits(readConfig({})), stallMsMax: 500 },
      namesFont: await findNamesFont(""),
      signal: new AbortController().signal,
      onProgress: () => {},
    },
    onShare: (share) => shares.push(share),
  });
  expect(shares).toEqual([1]);
});

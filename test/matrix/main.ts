// `npm run test:matrix -- [--only PATTERN] [--count 600] [--seed 1] [--every 1] [--exports] [--ffmpeg PATH] [--json FILE] [--keep DIRECTORY]`,
// `-- NAME...` for cases by their names,
// or `-- --compare A.json B.json` for the differences between two runs.
import { parseArgs } from "node:util";
import { startServer } from "../support/track-capture-server.ts";
import { temporaryDirectory } from "../support/temporary-directory.ts";
import { type CaseResult, caseResultsSchema } from "./case-result.ts";
import { caseNamed, chooseCases } from "./cases.ts";
import { describeDifferences, describeResults, isGood } from "./report.ts";
import { runAll } from "./run-all.ts";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    only: { type: "string", default: "" },
    count: { type: "string", default: "600" },
    seed: { type: "string", default: "1" },
    /** One case in so many. */
    every: { type: "string", default: "1" },
    exports: { type: "boolean", default: false },
    ffmpeg: { type: "string" },
    json: { type: "string" },
    /** A directory where sources and MP4s stay. */
    keep: { type: "string" },
    compare: { type: "boolean", default: false },
  },
});

async function readResults(path: string): Promise<CaseResult[]> {
  return caseResultsSchema.parse(await Bun.file(path).json());
}

async function main(): Promise<number> {
  if (values.compare) {
    const [one = "", other = ""] = positionals;
    process.stdout.write(
      `${describeDifferences(await readResults(one), await readResults(other))}\n`,
    );
    return 0;
  }
  const pattern = new RegExp(values.only);
  const cases =
    positionals.length > 0
      ? positionals.map(caseNamed)
      : chooseCases(Number(values.count), Number(values.seed))
          .filter(({ name }) => pattern.test(name))
          .filter((_, i) => i % Number(values.every) === 0);
  await using directory = await temporaryDirectory();
  await using server = await startServer({
    env: {
      LOG_LEVEL: "warn",
      ...(values.ffmpeg === undefined ? {} : { FFMPEG_PATH: values.ffmpeg }),
    },
  });
  const startedAt = performance.now();
  const results = await runAll(cases, {
    serverUrl: server.url,
    directory: values.keep ?? directory.path,
    isKept: values.keep !== undefined,
    hasExports: values.exports,
    onProgress: (done, { name, outcome }) => {
      const seconds = Math.round((performance.now() - startedAt) / 1_000);
      process.stderr.write(`${done}/${cases.length} ${seconds} s ${outcome} ${name}\n`);
    },
  });
  if (values.json !== undefined) await Bun.write(values.json, JSON.stringify(results, null, 1));
  process.stdout.write(`${describeResults(results)}\n`);
  return isGood(results) ? 0 : 1;
}

process.exitCode = await main();

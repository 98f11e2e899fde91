import { afterAll, beforeAll, expect, test } from "bun:test";
import * as fc from "fast-check";
import { z } from "zod";
import { temporaryDirectory, type TemporaryDirectory } from "../support/temporary-directory.ts";
import { startServer, type TrackCaptureServer } from "../support/track-capture-server.ts";
import { campaign, CAMPAIGN_TIMEOUT_MS } from "./campaign.ts";
import { reportCampaign } from "./support/report-campaign.ts";
import { RestartModel } from "./support/restart-model.ts";
import { campaignSeed } from "./support/seeded-random.ts";
import { strayRequest } from "./support/stray-requests.ts";

const ROUNDS = campaign({ short: 50, long: 2_000 });
/** Each round of the long form ends with a crash; a start costs more than all requests of a round. */
const ROUNDS_PER_CRASH = campaign({ short: 10, long: 1 });
/** Fewer than the crashes after which a track that is being finalized counts as one that causes them. */
const CRASHES_PER_CLEARING = campaign({ short: 2, long: 5 });
/** Of each round; one more group is under way when the server is killed. */
const REQUESTS_MAX = 12;

/** What the log may call an error: bytes of which no MP4 can be made. */
const EXPECTED_ERRORS: ReadonlySet<string> = new Set(["finalization failed"]);

const logLineSchema = z.object({ msg: z.string(), err: z.unknown() });

/** Nothing that a request brings may be an error of the server's own. */
function expectNoFaults(stderr: string): void {
  const faults = stderr
    .split("\n")
    // The last line may be cut off.
    .slice(0, -1)
    .map((line) => logLineSchema.parse(JSON.parse(line)))
    .filter(({ msg }) => !EXPECTED_ERRORS.has(msg));
  expect(faults).toEqual([]);
}

let directory: TemporaryDirectory;
let server: TrackCaptureServer;

const start = async () => {
  server = await startServer({
    recordingsDirectory: directory.path,
    env: { STOP_GRACE_MS: "0", FINALIZE_ATTEMPTS_MAX: "1", LOG_LEVEL: "error" },
  });
};

beforeAll(async () => {
  directory = await temporaryDirectory();
  await start();
});

afterAll(async () => {
  await server[Symbol.asyncDispose]();
  await directory[Symbol.asyncDispose]();
});

test(
  "after any requests and a crash the server serves, lists and finalizes what is good",
  async () => {
    const model = new RestartModel();
    const seed = campaignSeed();
    let rounds = 0;
    let crashes = 0;
    const crash = async () => {
      await server.kill();
      expectNoFaults(server.stderr());
      crashes += 1;
      await start();
      await model.expectAllThere(server.url);
      if (crashes % CRASHES_PER_CLEARING !== 0) return;
      await model.expectGoodFinalized(server.url);
      await model.endAll(server.url);
    };
    const requests = fc.array(strayRequest, { minLength: 4, maxLength: REQUESTS_MAX });
    await fc.assert(
      fc.asyncProperty(requests, requests, async (answered, interrupted) => {
        rounds += 1;
        const { url } = server;
        for (const request of answered) await model.send(url, request);
        if (rounds % ROUNDS_PER_CRASH !== 0) return;
        await model.recordGood(url);
        // Nobody knows what becomes of these, but that they harm nothing.
        const unanswered = interrupted.map((request) =>
          new RestartModel().send(url, request).catch(() => undefined),
        );
        await crash();
        await Promise.all(unanswered);
      }),
      // What a round did cannot be undone, so a shorter one is no counterexample.
      { numRuns: ROUNDS, seed: seed | 0, endOnFailure: true },
    );
    await crash();
    await model.expectGoodFinalized(server.url);
    await model.endAll(server.url);
    reportCampaign(
      `${rounds} rounds and ${crashes} crashes (FAULT_SEED=${seed}): ${model.requests} requests, ` +
        `${model.taken} of them taken; ${model.ended} recordings ended, ${model.finalized} with their MP4`,
    );
  },
  CAMPAIGN_TIMEOUT_MS,
);

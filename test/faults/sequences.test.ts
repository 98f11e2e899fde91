import { expect, test } from "bun:test";
import * as fc from "fast-check";
import { AppError } from "../../src/recording/errors.ts";
import { campaign, CAMPAIGN_TIMEOUT_MS } from "./campaign.ts";
import { EngineBed } from "./support/engine-bed.ts";
import { reportCampaign } from "./support/report-campaign.ts";
import { campaignSeed } from "./support/seeded-random.ts";
import { type ModelAppend, SegmentModel } from "./support/segment-model.ts";

const SEQUENCES = campaign({ short: 300, long: 10_000 });
const SEGMENTS = 2;
const CHUNKS = 8;

type Command =
  | { readonly kind: "append"; readonly request: ModelAppend }
  /** Requests of one segment that are sent at once. */
  | {
      readonly kind: "parallel";
      readonly segment: number;
      readonly requests: readonly ModelAppend[];
    }
  | { readonly kind: "end"; readonly segment: number; readonly chunkCount: number }
  | { readonly kind: "restart" }
  | { readonly kind: "crash"; readonly tornTail: Uint8Array };

const segmentArbitrary = fc.nat(SEGMENTS - 1);

const appendArbitrary: fc.Arbitrary<ModelAppend> = fc.record({
  segment: segmentArbitrary,
  // Most requests come from who opens the segment first.
  participant: fc.oneof({ weight: 19, arbitrary: fc.constant(0) }, fc.constant(1)),
  firstSequence: fc.nat(CHUNKS),
  variants: fc.array(
    fc.oneof(
      { weight: 12, arbitrary: fc.constant("one" as const) },
      fc.constant("two" as const),
      fc.constant("empty" as const),
    ),
    { minLength: 1, maxLength: 3 },
  ),
  wrongHashAt: fc.oneof({ weight: 19, arbitrary: fc.constant(undefined) }, fc.nat(2)),
});

// A header that was written without all of its payload begins with the magic.
const tornTailArbitrary = fc
  .tuple(fc.constantFrom("", "TCF1", "TCF2"), fc.uint8Array({ maxLength: 200 }))
  .map(([magic, bytes]) => new Uint8Array(Buffer.concat([Buffer.from(magic), bytes])));

const commandArbitrary = fc.oneof<fc.MaybeWeightedArbitrary<Command>[]>(
  { weight: 8, arbitrary: appendArbitrary.map((request) => ({ kind: "append", request })) },
  {
    weight: 4,
    arbitrary: fc
      .tuple(segmentArbitrary, fc.array(appendArbitrary, { minLength: 2, maxLength: 5 }))
      .map(([segment, requests]) => ({
        kind: "parallel",
        segment,
        requests: requests.map((request) => ({ ...request, segment, participant: 0 })),
      })),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant("end"),
      segment: segmentArbitrary,
      chunkCount: fc.nat(CHUNKS + 3),
    }),
  },
  { weight: 1, arbitrary: fc.constant({ kind: "restart" }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("crash"), tornTail: tornTailArbitrary }) },
);

/** What was answered, or the code of the error. */
async function answerOf<Answer>(asked: Promise<Answer>): Promise<Answer | { refusal: string }> {
  try {
    return await asked;
  } catch (error) {
    if (error instanceof AppError) return { refusal: error.code };
    throw error;
  }
}

async function expectAppend(
  bed: EngineBed,
  model: SegmentModel,
  request: ModelAppend,
): Promise<void> {
  const answer = await answerOf(bed.engine.append(bed.request(request)));
  const expected = model.append(request);
  if ("refusal" in expected) {
    expect(answer).toEqual(expected);
    return;
  }
  const { nextSequence, missing } = model.status();
  expect(answer).toEqual({
    segmentId: bed.segmentId(request.segment),
    nextSequence,
    missing,
    chunks: [...expected.outcomes],
  });
}

/**
 * Sends requests at once, and gives the model after them. There must be an order in which they, one
 * after the other, get the answers that they got.
 */
async function expectParallelAppends(
  bed: EngineBed,
  model: SegmentModel,
  requests: readonly ModelAppend[],
): Promise<SegmentModel> {
  const pairs = await Promise.all(
    requests.map(async (request) => {
      const answer = await answerOf(bed.engine.append(bed.request(request)));
      const told = "refusal" in answer ? { refusal: answer.refusal } : { outcomes: answer.chunks };
      return { request, told: JSON.stringify(told) };
    }),
  );
  const after = inSomeOrder(model, pairs);
  if (after === undefined) throw new Error(`No order gives ${JSON.stringify(pairs)}`);
  return after;
}

function inSomeOrder(
  model: SegmentModel,
  pairs: readonly { readonly request: ModelAppend; readonly told: string }[],
): SegmentModel | undefined {
  if (pairs.length === 0) return model;
  for (const [i, { request, told }] of pairs.entries()) {
    const next = model.clone();
    if (JSON.stringify(next.append(request)) !== told) continue;
    const after = inSomeOrder(next, pairs.toSpliced(i, 1));
    if (after !== undefined) return after;
  }
  return undefined;
}

async function expectEnd(
  bed: EngineBed,
  model: SegmentModel,
  segment: number,
  chunkCount: number,
): Promise<void> {
  const segmentId = bed.segmentId(segment);
  const answer = await answerOf(bed.engine.endSegment(bed.recordingId, segmentId, chunkCount));
  const refusal = model.end(chunkCount);
  expect(answer).toEqual(refusal === undefined ? { segmentId, ...model.status() } : { refusal });
}

/** Chunks as they are easy to compare and to print. */
function plain(chunks: readonly { readonly sequence: number; readonly payload: Uint8Array }[]) {
  return chunks.map(({ sequence, payload }) => [sequence, Buffer.from(payload).toString("latin1")]);
}

/** The store and the engine hold of every segment what the model does, byte for byte. */
async function expectLikeModels(bed: EngineBed, models: readonly SegmentModel[]): Promise<void> {
  for (const [segment, model] of models.entries()) {
    const segmentId = bed.segmentId(segment);
    const status = await answerOf(bed.engine.segmentStatus(bed.recordingId, segmentId));
    expect(status).toEqual(
      model.exists ? { segmentId, ...model.status() } : { refusal: "segment-not-found" },
    );
    const stored = await bed.stored(segment);
    expect(stored === undefined).toBe(!model.exists);
    expect(plain(stored ?? [])).toEqual(plain(model.payloads()));
  }
}

test(
  "whatever the order of appends, repetitions, contradictions, ends and restarts, the bytes are the model's",
  async () => {
    const seed = campaignSeed();
    let commands = 0;
    let restarts = 0;
    const run = async (sequence: readonly Command[]): Promise<void> => {
      await using bed = await EngineBed.start(SEGMENTS);
      const models = Array.from({ length: SEGMENTS }, (_, segment) => new SegmentModel(segment));
      for (const command of sequence) {
        commands += 1;
        switch (command.kind) {
          case "append":
            await expectAppend(bed, models[command.request.segment]!, command.request);
            break;
          case "parallel": {
            const { segment, requests } = command;
            models[segment] = await expectParallelAppends(bed, models[segment]!, requests);
            break;
          }
          case "end":
            await expectEnd(bed, models[command.segment]!, command.segment, command.chunkCount);
            break;
          case "restart":
            restarts += 1;
            await bed.restart();
            await expectLikeModels(bed, models);
            break;
          case "crash":
            restarts += 1;
            await bed.crash(command.tornTail);
            await expectLikeModels(bed, models);
        }
      }
      await expectLikeModels(bed, models);
      await bed.crash(new Uint8Array());
      await expectLikeModels(bed, models);
    };
    await fc.assert(
      fc.asyncProperty(
        fc.array(commandArbitrary, { minLength: 1, maxLength: 16, size: "max" }),
        run,
      ),
      { numRuns: SEQUENCES, seed: seed | 0 },
    );
    reportCampaign(
      `${SEQUENCES} sequences (FAULT_SEED=${seed}): ${commands} commands, ${restarts} restarts ` +
        `among them, bytes and answers as the model's`,
    );
  },
  CAMPAIGN_TIMEOUT_MS,
);

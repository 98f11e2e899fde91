import { expect, test } from "bun:test";
import { BATCH_CHUNKS_MAX } from "../../../client/recorder/upload/chunk-uploader.ts";
import { RECORDER_DEFAULTS } from "../../../client/recorder/recorder-defaults.ts";
import { CHUNKS_PER_REQUEST_MAX } from "../../../src/contract/chunks.ts";
import { MARKS_PER_CHUNK_MAX } from "../../../src/contract/marks.ts";
import { APP_WORD_CODE_POINTS_MAX, DEFAULT_TRACK_ID } from "../../../src/contract/ids.ts";

test("the library's constants agree with the contract", () => {
  expect(RECORDER_DEFAULTS.trackId).toBe(DEFAULT_TRACK_ID);
  expect(RECORDER_DEFAULTS.wordCodePointsMax).toBe(APP_WORD_CODE_POINTS_MAX);
  expect(RECORDER_DEFAULTS.marksPerChunkMax).toBe(MARKS_PER_CHUNK_MAX);
  expect(BATCH_CHUNKS_MAX).toBeLessThanOrEqual(CHUNKS_PER_REQUEST_MAX);
});

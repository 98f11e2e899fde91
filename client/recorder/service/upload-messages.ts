import { isMark } from "../mark-shape.ts";
import { RECORDER_ERROR_CODES } from "../recorder-error.ts";
import type { RecorderErrorCode } from "../recorder.d.ts";
import { RETRY_CAUSES } from "../retry-causes.ts";
import {
  exactly,
  instanceOf,
  isCount,
  isFlag,
  isNumber,
  isText,
  listOf,
  oneOf,
  orNull,
  shape,
  type Check,
  type OneOf,
} from "../record-shape.ts";

const addressFields = {
  recordingId: isText,
  participantId: isText,
  trackId: isText,
  segmentId: isText,
};

const chunkFields = {
  ...addressFields,
  sequence: isCount,
  mimeType: isText,
  beganAtMs: isNumber,
  durationMs: isNumber,
  marks: listOf(isMark),
  payload: instanceOf(Blob),
};

const isCode: Check<RecorderErrorCode> = (value): value is RecorderErrorCode =>
  RECORDER_ERROR_CODES.some((code) => code === value);

const isCause = exactly(...RETRY_CAUSES);

const isError = shape({
  code: isCode,
  message: isText,
  status: orNull(isNumber),
  problemCode: orNull(isText),
});

const isStorage = shape({
  state: exactly("ok", "low", "critical", "memory"),
  usedBytes: orNull(isNumber),
  quotaBytes: orNull(isNumber),
  memoryBytes: isNumber,
  reason: orNull(isText),
});

const isLeftSegment = shape({
  ...addressFields,
  chunks: isCount,
  bytes: isCount,
  durationMs: isNumber,
});

/** What a page asks of an upload service. `callId` names the answer. */
const commandShapes = {
  /** Begins a run; `add`, `endSegment`, `finish`, `abandon` and `list` are about one. */
  open: shape({
    runId: isText,
    serverUrl: isText,
    parallelUploads: isCount,
    memoryBytesMax: isCount,
    lowShare: isNumber,
    criticalShare: isNumber,
    /** Whether the page has a storage that may be used. */
    isPersistent: isFlag,
    needsAppFetch: isFlag,
  }),
  add: shape({ runId: isText, chunk: shape(chunkFields) }),
  endSegment: shape({ runId: isText, segmentId: isText, chunkCount: isCount }),
  finish: shape({ runId: isText }),
  abandon: shape({ runId: isText, message: isText }),
  list: shape({ runId: isText, callId: isCount }),
  /** Begins a run for each dead owner's segments; answered by `resumed`. */
  resume: shape({ callId: isCount, serverUrl: orNull(isText), hasAppFetch: isFlag }),
};

/** What an upload service tells a page. */
const eventShapes = {
  ready: shape({}),
  kept: shape({
    runId: isText,
    segmentId: isText,
    sequence: isCount,
    keptIn: exactly("disk", "memory"),
  }),
  acknowledged: shape({
    runId: isText,
    chunks: listOf(
      shape({ segmentId: isText, sequence: isCount, bytes: isCount, durationMs: isNumber }),
    ),
  }),
  ended: shape({ runId: isText, segmentId: isText, chunkCount: isCount }),
  retry: shape({
    runId: isText,
    failures: isCount,
    delayMs: isNumber,
    status: orNull(isNumber),
    cause: isCause,
    reason: isText,
    bodyBytes: orNull(isCount),
    bodyBytesAccepted: orNull(isCount),
  }),
  /** Chunks that are numbered from now on should be no larger. */
  pieces: shape({ runId: isText, bytesMax: isCount }),
  refused: shape({ runId: isText, segmentId: isText, error: isError }),
  failed: shape({ runId: isText, error: isError }),
  finished: shape({ runId: isText, error: orNull(isError) }),
  storage: shape({ runId: isText, change: isStorage }),
  reduce: shape({ runId: isText }),
  full: shape({ runId: isText }),
  listed: shape({ callId: isCount, chunks: listOf(shape(chunkFields)) }),
  resumed: shape({
    callId: isCount,
    runs: listOf(shape({ runId: isText, segments: listOf(isLeftSegment) })),
  }),
  callFailed: shape({ callId: isCount, error: isError }),
};

/** Each command by name. */
export type UploadCommands = OneOf<typeof commandShapes>;

/** What a page asks of an upload service. */
export type UploadCommand = UploadCommands[keyof UploadCommands];

/** Each event by name. */
export type UploadEvents = OneOf<typeof eventShapes>;

/** What an upload service tells a page. */
export type UploadEvent = UploadEvents[keyof UploadEvents];

/** A `RecorderError` as it crosses to another thread. */
export type ErrorFields = NonNullable<UploadEvents["finished"]["error"]>;

/** A segment that was left behind, with what is left of it. */
export type LeftSegment = UploadEvents["resumed"]["runs"][number]["segments"][number];

const isCommand = oneOf(commandShapes);

const isEvent = oneOf(eventShapes);

/** Throws a `TypeError` for a message that is no command. */
export function parseCommand(message: unknown): UploadCommand {
  if (isCommand(message)) return message;
  throw new TypeError("An upload service got a message that is no command");
}

/** Throws a `TypeError` for a message that is no event. */
export function parseEvent(message: unknown): UploadEvent {
  if (isEvent(message)) return message;
  throw new TypeError("A page got a message that is no event of an upload service");
}

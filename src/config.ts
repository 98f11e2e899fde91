import { z } from "zod";
import { allowedOriginsSchema } from "./allowed-origins.ts";

/** Levels of the log, from the most to the least talkative. */
const LOG_LEVELS = ["trace", "debug", "info", "warn", "error", "fatal", "silent"] as const;

const MIB = 1024 * 1024;
const SECOND_MS = 1_000;
const HOUR_MS = 3_600 * SECOND_MS;

/**
 * Longest wait, 24 days. A `setTimeout` of 24.8 days or more fires at once, and some waits are a variable
 * and a little besides.
 */
const WAIT_MS_MAX = 24 * 24 * HOUR_MS;

/** Largest body that Bun holds in one buffer without trouble. */
const BYTES_MAX = 4 * 1024 * MIB;

/** What an operator must know of a variable. */
interface About {
  /** What holds when the variable is not set, as it would be written in the environment. */
  readonly default: string;
  /** A sentence for operators. */
  readonly meaning: string;
  /** What is allowed, to follow "must be". */
  readonly allowed: string;
}

const about = z.registry<About>();

function wholeNumber(min: number, max: number, defaultValue: number, meaning: string) {
  // Only digits: `Number("")`, `Number("0x10")` and `Number("1e3")` are numbers too.
  return z
    .string()
    .regex(/^\d{1,16}$/)
    .transform(Number)
    .pipe(z.int().min(min).max(max))
    .register(about, {
      default: String(defaultValue),
      meaning,
      allowed: `a whole number from ${min} to ${max}`,
    });
}

const environmentSchema = z.object({
  PORT: wholeNumber(0, 65_535, 3_000, "TCP port of the server; 0 takes a free one."),
  HOST: z.enum(["127.0.0.1", "::1", "localhost"]).register(about, {
    default: "127.0.0.1",
    meaning: "Address to listen on. Only loopback addresses, while there are no access keys.",
    allowed:
      "127.0.0.1, ::1 or localhost: the server has no access keys yet, so everything on it would be open to whoever reaches that address",
  }),
  ALLOWED_ORIGINS: allowedOriginsSchema.register(about, {
    default: "",
    meaning:
      "Origins whose pages may use the server, separated by commas, such as https://app.example. Pages of loopback addresses (localhost, 127.0.0.1, [::1]) always may.",
    allowed: "origins, separated by commas",
  }),
  RECORDINGS_DIR: z
    .string()
    // oxlint-disable-next-line no-control-regex -- a path with NUL is what it must refuse
    .regex(/^[^\0]+$/)
    .register(about, {
      default: "recordings",
      meaning: "Folder that holds the recordings and the catalogue; made when it is not there.",
      allowed: "a path",
    }),
  FFMPEG_PATH: z.string().register(about, {
    default: "",
    meaning: "ffmpeg to use; empty looks for ffmpeg-static, then PATH, then @ffmpeg-installer.",
    allowed: "a path or empty",
  }),
  NAMES_FONT_PATH: z.string().register(about, {
    default: "",
    meaning:
      "Font (TTF, OTF or TTC) for the names in composites; empty takes DejaVu Sans, which has Latin, Greek, Cyrillic, Arabic and Hebrew, and for others the machine's fonts.",
    allowed: "a path or empty",
  }),
  LOG_LEVEL: z.enum(LOG_LEVELS).register(about, {
    default: "info",
    meaning: "Least important log lines that are written (JSON, on stderr).",
    allowed: `one of ${LOG_LEVELS.join(", ")}`,
  }),
  CHUNK_BYTES_MAX: wholeNumber(1, BYTES_MAX, 32 * MIB, "Largest chunk."),
  REQUEST_BYTES_MAX: wholeNumber(
    1,
    BYTES_MAX,
    64 * MIB,
    "Largest request body; a larger one is answered with 413. Must be at least 1.5 times CHUNK_BYTES_MAX, so that a chunk in base64 fits.",
  ),
  TOTAL_REQUEST_BYTES_MAX: wholeNumber(
    1,
    64 * BYTES_MAX,
    512 * MIB,
    "Bytes of all request bodies that may be in memory at once, each a fair share; beyond it clients are told to come again.",
  ),
  BODY_IDLE_MS_MAX: wholeNumber(
    100,
    WAIT_MS_MAX,
    10 * SECOND_MS,
    "How long a request body of more than 1 MiB may stand still; then it is answered with 408 and its connection is closed.",
  ),
  // The client library gives up after 30 s, and 1 s more for every 16,000 bytes.
  BODY_MS_BASE: wholeNumber(
    100,
    WAIT_MS_MAX,
    20 * SECOND_MS,
    "How long a request body may take, beside 1 s for every 16000 bytes of it; then it is answered with 408 and its connection is closed.",
  ),
  SEGMENT_PENDING_BYTES_MAX: wholeNumber(
    1,
    BYTES_MAX,
    64 * MIB,
    "Bytes of one segment that may wait for the disk; beyond them clients are told to come again.",
  ),
  TOTAL_PENDING_BYTES_MAX: wholeNumber(
    1,
    64 * BYTES_MAX,
    512 * MIB,
    "Bytes of all segments that may wait for the disk, each participant a fair share; beyond it clients are told to come again.",
  ),
  VIEWER_BYTES_MAX: wholeNumber(
    1,
    64 * BYTES_MAX,
    128 * MIB,
    "Bytes of chunks that may be on their way to readers of `source` at once, each a fair share; beyond it new readers are answered with 503, and slow ones of a live view miss pictures.",
  ),
  SEGMENT_GAPS_MAX: wholeNumber(0, 1_000_000, 1_024, "Gaps that one segment's sequence may have."),
  RECORDING_SEGMENTS_MAX: wholeNumber(
    1,
    1_000_000,
    10_000,
    "Segments that one recording may have.",
  ),
  FREE_SPACE_BYTES_MIN: wholeNumber(
    0,
    1024 * 1024 * 1024 * MIB,
    1024 * MIB,
    "Bytes that must be free where RECORDINGS_DIR is for a recording or an export to start; recordings that run go on with less.",
  ),
  OPEN_SEGMENTS_MAX: wholeNumber(1, 1_000_000, 512, "Chunk files that are held open at once."),
  LATE_UPLOAD_WINDOW_MS: wholeNumber(
    0,
    WAIT_MS_MAX,
    72 * HOUR_MS,
    "How long after its stop a recording takes late chunks.",
  ),
  STOP_GRACE_MS: wholeNumber(
    0,
    WAIT_MS_MAX,
    10 * SECOND_MS,
    "How long a stopped recording waits for a segment that is not complete and sends nothing.",
  ),
  STOP_WAIT_MS_MAX: wholeNumber(
    0,
    WAIT_MS_MAX,
    60 * SECOND_MS,
    "How long a stopped recording waits for segments at most, also while chunks still come.",
  ),
  LATE_WAIT_MS_MAX: wholeNumber(
    0,
    WAIT_MS_MAX,
    600 * SECOND_MS,
    "How long late chunks may put off the better MP4 that they are for.",
  ),
  // A copy keeps one core busy with muxing and half of one with reading and hashing in this process:
  // two at once use a small machine well and leave the server's thread free for uploads.
  FINALIZE_PARALLEL_MAX: wholeNumber(1, 256, 2, "Tracks that are made into MP4s at once."),
  FINALIZE_ATTEMPTS_MAX: wholeNumber(
    1,
    100,
    3,
    "How often a track is tried before it counts as failed. Then it is delivered with what could be made. A fault of the media fails it at once.",
  ),
  FINALIZE_RETRY_DELAY_MS: wholeNumber(
    0,
    HOUR_MS,
    2 * SECOND_MS,
    "Wait before a track's second try; twice as long before each further one.",
  ),
  FFMPEG_STALL_MS_MAX: wholeNumber(
    SECOND_MS,
    WAIT_MS_MAX,
    120 * SECOND_MS,
    "How long ffmpeg may run without reading or writing anything.",
  ),
  FFMPEG_RUN_MS_BASE: wholeNumber(
    SECOND_MS,
    WAIT_MS_MAX,
    120 * SECOND_MS,
    "How long one run of ffmpeg may take, beside FFMPEG_RUN_MS_PER_MIB.",
  ),
  // A MiB is some 7 s at 1.1 Mbps: enough for a transcode at a quarter of real time.
  FFMPEG_RUN_MS_PER_MIB: wholeNumber(
    0,
    HOUR_MS,
    30 * SECOND_MS,
    "How much longer one run of ffmpeg may take for each MiB of chunks.",
  ),
  // A transcode of 640x360 needs some 400 MiB, one of 4K 1.5 GiB (2 cores), one of 8K 2.6 GiB.
  FFMPEG_MEMORY_BYTES_MAX: wholeNumber(
    256 * MIB,
    1024 * 1024 * MIB,
    4 * 1024 * MIB,
    "Address space of one ffmpeg process (where the system has prlimit).",
  ),
  EXPORT_PARALLEL_MAX: wholeNumber(
    1,
    64,
    1,
    "Exports that are made at once; they begin only while finalizations do not take all their places.",
  ),
  SHUTDOWN_TIMEOUT_MS: wholeNumber(
    0,
    WAIT_MS_MAX,
    10 * SECOND_MS,
    "How long a server that was asked to end waits for requests in flight; new ones are answered with 503 meanwhile.",
  ),
});

/** What the environment says, checked. Names, units and meanings are those of the variables. */
export type Config = Readonly<z.output<typeof environmentSchema>>;

/** A variable that the server reads, for the README's table. */
export interface ConfigVariable {
  readonly name: string;
  /** As it would be written in the environment. */
  readonly default: string;
  readonly meaning: string;
}

/** The variables that the server reads, in the order in which operators meet them. */
export const CONFIG_VARIABLES: readonly ConfigVariable[] = Object.entries(
  environmentSchema.shape,
).map(([name, schema]) => {
  const { default: defaultText, meaning } = aboutOf(schema);
  return { name, default: defaultText, meaning };
});

function aboutOf(schema: z.ZodType): About {
  const known = about.get(schema);
  if (known === undefined) throw new TypeError("A variable has no description");
  return known;
}

/** A variable has a value that is not allowed. The message is one line for the operator. */
export class ConfigError extends Error {
  override readonly name = "ConfigError";
  readonly variable: string;
  readonly value: string;

  constructor(variable: string, value: string, allowed: string) {
    super(`${variable}=${JSON.stringify(value)}: ${variable} must be ${allowed}.`);
    this.variable = variable;
    this.value = value;
  }
}

/**
 * Reads the configuration from environment variables. A variable that is not set, or set to
 * nothing, has its default.
 *
 * @throws ConfigError for the first value that is not allowed.
 */
export function readConfig(environment: Readonly<Record<string, string | undefined>>): Config {
  refuseAccessKey(environment["ACCESS_KEY"]);
  const texts = Object.fromEntries(
    CONFIG_VARIABLES.map(({ name, default: defaultText }) => [
      name,
      environment[name] || defaultText,
    ]),
  );
  const result = environmentSchema.safeParse(texts);
  if (!result.success) {
    const [issue] = result.error.issues;
    const name = environmentSchema.keyof().parse(issue?.path[0]);
    const { allowed } = aboutOf(environmentSchema.shape[name]);
    throw new ConfigError(
      name,
      texts[name] ?? "",
      issue?.code === "custom" ? issue.message : allowed,
    );
  }
  const config = Object.freeze(result.data);
  refuseContradictions(config);
  return config;
}

function refuseAccessKey(accessKey: string | undefined): void {
  if (accessKey === undefined || accessKey === "") return;
  // Whoever sets a key expects protection; the key itself has no place on a terminal.
  throw new ConfigError(
    "ACCESS_KEY",
    "...",
    "unset: the server has no access keys yet and would not protect anything with it",
  );
}

function refuseContradictions(config: Config): void {
  const requestBytesMin = Math.ceil(config.CHUNK_BYTES_MAX * 1.5);
  if (config.REQUEST_BYTES_MAX < requestBytesMin) {
    throw new ConfigError(
      "REQUEST_BYTES_MAX",
      String(config.REQUEST_BYTES_MAX),
      `at least 1.5 times CHUNK_BYTES_MAX, which makes ${requestBytesMin}, so that a chunk in base64 fits`,
    );
  }
  const noLess = [
    ["TOTAL_REQUEST_BYTES_MAX", "REQUEST_BYTES_MAX"],
    ["SEGMENT_PENDING_BYTES_MAX", "CHUNK_BYTES_MAX"],
    ["TOTAL_PENDING_BYTES_MAX", "SEGMENT_PENDING_BYTES_MAX"],
    ["STOP_WAIT_MS_MAX", "STOP_GRACE_MS"],
  ] as const;
  for (const [name, least] of noLess) {
    if (config[name] >= config[least]) continue;
    throw new ConfigError(
      name,
      String(config[name]),
      `at least ${least}, which is ${config[least]}`,
    );
  }
}

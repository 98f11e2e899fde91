import { readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import pino, { type Logger } from "pino";
import { SqliteCatalog } from "./catalog/sqlite-catalog.ts";
import { ConfigError, readConfig, type Config } from "./config.ts";
import { finalizeLimits, recordingLimits, requestBodyLimits } from "./configured-limits.ts";
import { exportIdSchema } from "./contract/exports.ts";
import { recordingIdSchema } from "./contract/ids.ts";
import { findNamesFont } from "./exports/composite/names-font.ts";
import { Exporter, type ExporterParts } from "./exports/exporter.ts";
import { makeExport } from "./exports/make-export.ts";
import { Finalizer } from "./finalize/finalizer.ts";
import { TrackExtras } from "./finalize/track-extras.ts";
import { createApp, IDLE_TIMEOUT_SECONDS } from "./http/app.ts";
import { buildClientAssets } from "./http/client-assets.ts";
import { Intake } from "./http/intake.ts";
import { internalProblemResponse } from "./http/problems.ts";
import { type FfmpegBinary, resolveFfmpeg, systemFfmpegLookup } from "./process/ffmpeg-binary.ts";
import { ArrivalNumbering } from "./recording/arrival-numbering.ts";
import { AppError } from "./recording/errors.ts";
import { RecordingEngine } from "./recording/recording-engine.ts";
import { separateSync } from "./storage/data-sync.ts";
import { DirectoryLock } from "./storage/directory-lock.ts";
import { makeDirectory, writeFileDurably } from "./storage/durable-files.ts";
import { LiveView } from "./live/live-view.ts";
import { FileChunkStore } from "./storage/file-chunk-store.ts";
import { FileSystemSpace } from "./storage/free-space.ts";
import { GroupSync } from "./storage/group-sync.ts";
import { RecordingsLayout, TEMPORARY_SUFFIX } from "./storage/layout.ts";
import { Syncfs } from "./storage/syncfs.ts";
import { ViewerBytes } from "./recording/viewer-bytes.ts";
import { SystemClock } from "./system-clock.ts";

/** How often a server that ends looks whether requests are still in flight. */
const ANSWERED_POLL_MS = 20;

/**
 * How long all the rest may take to end after the requests in flight: ffmpeg, which gets 3 s before it
 * is killed, and the last syncs of a slow disk.
 */
const STOP_REST_MS_MAX = 15_000;

/**
 * A second signal within so long is the same request: Ctrl-C reaches all of a terminal's processes, and
 * npm hands it on to its child besides.
 */
const SAME_REQUEST_MS = 1_000;

/** By convention a process that a signal ended exits with 128 and the signal's number. */
const SIGNAL_EXIT_CODES = { SIGTERM: 143, SIGINT: 130 } as const;

/** The file that a readiness check makes begins so. */
const PROBE_PREFIX = "readiness-";

/** What runs, to be ended in the reverse order of its start. */
type Stop = () => Promise<void>;

/** Starts everything in order and prints the URL; `stops` tells afterwards how to end it all. */
async function serve(config: Config, log: Logger, stops: Stop[]): Promise<void> {
  const clock = new SystemClock();
  const ffmpeg = await findFfmpeg(config, log);

  const layout = new RecordingsLayout(config.RECORDINGS_DIR);
  const lock = await takeDirectory(layout.rootDirectory);
  stops.push(async () => lock.release());
  await removeProbes(layout.rootDirectory);
  const catalog = await SqliteCatalog.open(layout.catalogPath, clock, ({ error, ...where }) =>
    log.error({ err: error, ...where }, "a row of the catalogue cannot be read"),
  );
  stops.push(() => catalog.close());
  const store = await openStore(layout, log, stops);
  const freeSpace = new FileSystemSpace(layout.rootDirectory);
  const engine = new RecordingEngine({
    store,
    catalog,
    clock,
    freeSpace,
    limits: recordingLimits(config),
    log,
    newRecordingId: () => recordingIdSchema.parse(Bun.randomUUIDv7()),
  });
  log.info(await engine.start(), "recovered");
  stops.push(() => engine.stop());

  const limits = finalizeLimits(config);
  const extras = new TrackExtras({ catalog, layout, ffmpeg, limits, log });
  await extras.start();
  const finalizer = new Finalizer({
    engine,
    store,
    catalog,
    queue: catalog.jobs,
    layout,
    ffmpeg,
    clock,
    limits,
    extras,
    log,
  });
  engine.listen(finalizer);
  await finalizer.start();
  stops.push(() => finalizer.stop());

  const viewerBytes = new ViewerBytes(config.VIEWER_BYTES_MAX);
  const live = new LiveView({ engine, store, catalog, clock, viewerBytes, log });
  const exporter = await startExporter(config, {
    catalog,
    layout,
    ffmpeg,
    clock,
    log,
    finalizer,
    freeSpace,
  });
  engine.listen(exporter);
  stops.push(() => exporter.stop());

  const intake = new Intake();
  const app = await createApp({
    engine,
    numbering: new ArrivalNumbering(engine),
    store,
    catalog,
    live,
    viewerBytes,
    retrier: finalizer,
    exports: exporter,
    paths: layout,
    extras,
    ffmpeg,
    readiness: {
      storageWritable: () => writeProbe(layout.rootDirectory),
      freeBytes: () => freeSpace.freeBytes(),
      freeSpaceBytesMin: config.FREE_SPACE_BYTES_MIN,
      catalogueAnswering: async () => {
        await catalog.listRecordings({ limit: 1 });
      },
    },
    assets: await buildClientAssets(),
    clock,
    intake,
    limits: requestBodyLimits(config),
    allowedOrigins: config.ALLOWED_ORIGINS,
    log,
  });
  listen(app, intake, config, log, stops);
  // Streams that follow a call would keep the server from its end.
  stops.push(async () => live.stop());
}

/** Opens the chunk files' store, which syncs as the file system allows. */
async function openStore(
  layout: RecordingsLayout,
  log: Logger,
  stops: Stop[],
): Promise<FileChunkStore> {
  const syncfs = await Syncfs.start(layout.rootDirectory);
  stops.push(async () => syncfs?.stop());
  log.info({ sync: syncfs === undefined ? "fdatasync" : "syncfs" }, "how uploads become durable");
  return new FileChunkStore(
    layout,
    (finding, path, bytes) => log.warn({ path, bytes }, finding),
    syncfs === undefined ? separateSync : new GroupSync(syncfs),
  );
}

async function findFfmpeg({ FFMPEG_PATH }: Config, log: Logger): Promise<FfmpegBinary> {
  const lookup = systemFfmpegLookup({ FFMPEG_PATH, PATH: process.env["PATH"] });
  const ffmpeg = await resolveFfmpeg(lookup);
  log.info({ ffmpeg }, "ffmpeg found");
  return ffmpeg;
}

/** Starts what makes exports, wherever the finalizer leaves room for them. */
async function startExporter(
  config: Config,
  parts: Pick<ExporterParts, "layout" | "ffmpeg" | "clock" | "freeSpace" | "log"> & {
    readonly catalog: SqliteCatalog;
    readonly finalizer: Finalizer;
  },
): Promise<Exporter> {
  const { catalog, finalizer } = parts;
  const exporter = new Exporter({
    ...parts,
    queue: catalog.exports,
    limits: finalizeLimits(config),
    namesFont: await findNamesFont(config.NAMES_FONT_PATH),
    freeSpaceBytesMin: config.FREE_SPACE_BYTES_MIN,
    parallelMax: config.EXPORT_PARALLEL_MAX,
    mayBegin: () => finalizer.leavesRoom(),
    make: makeExport,
    newExportId: () => exportIdSchema.parse(Bun.randomUUIDv7()),
  });
  finalizer.whenRoomIsLeft(() => exporter.wake());
  await exporter.start();
  return exporter;
}

/** Makes the directory of the recordings when it is not there, and keeps other servers away from it. */
async function takeDirectory(directory: string): Promise<DirectoryLock> {
  try {
    await makeDirectory(directory);
    return DirectoryLock.take(join(directory, "server.lock"), directory);
  } catch (error) {
    if (error instanceof AppError || !(error instanceof Error)) throw error;
    throw new ConfigError(
      "RECORDINGS_DIR",
      directory,
      `a folder that can be made and written to (${error.message})`,
    );
  }
}

function listen(
  app: Awaited<ReturnType<typeof createApp>>,
  intake: Intake,
  config: Config,
  log: Logger,
  stops: Stop[],
): void {
  app.listen({
    port: config.PORT,
    hostname: config.HOST,
    idleTimeout: IDLE_TIMEOUT_SECONDS,
    // Elysia's default lets a second server take the same port and half of the connections.
    reusePort: false,
    // Our own limit answers with a problem; Bun's would answer with nothing, not even CORS headers.
    maxRequestBodySize: Number.MAX_SAFE_INTEGER,
    // No pages with source code when something fails in Bun itself.
    development: false,
    error: (error) => {
      log.error({ err: error }, "answer failed");
      return internalProblemResponse();
    },
  });
  const { server } = app;
  if (server === null) throw new TypeError("Elysia listens without a server");
  stops.push(async () => {
    // Connections are still taken while the requests in flight are waited for, so that clients are told
    // to come again; what is still there afterwards is cut off.
    intake.close();
    await answered(server, config.SHUTDOWN_TIMEOUT_MS);
    await server.stop(true);
  });
  process.stdout.write(`Track Capture serves at ${server.url.origin}\n`);
}

/** Resolves when no request is in flight, or when the time is over. */
async function answered(server: Bun.Server<unknown>, timeoutMs: number): Promise<void> {
  const deadlineMs = performance.now() + timeoutMs;
  while (server.pendingRequests > 0 && performance.now() < deadlineMs) {
    await Bun.sleep(ANSWERED_POLL_MS);
  }
}

/** Removes what a crash left of readiness checks. */
async function removeProbes(directory: string): Promise<void> {
  for (const name of await readdir(directory)) {
    if (name.startsWith(PROBE_PREFIX)) await rm(join(directory, name), { force: true });
  }
}

/** Makes a file durable in `directory` and removes it. */
async function writeProbe(directory: string): Promise<void> {
  const path = join(directory, `${PROBE_PREFIX}${crypto.randomUUID()}${TEMPORARY_SUFFIX}`);
  try {
    await writeFileDurably(path, "");
  } finally {
    await rm(path, { force: true });
  }
}

/** Ends what runs, the newest first; what fails to end does not keep the others from it. */
async function stopAll(stops: Stop[], log: Logger): Promise<void> {
  for (let stop = stops.pop(); stop !== undefined; stop = stops.pop()) {
    try {
      await stop();
    } catch (error) {
      log.error({ err: error }, "a part of the server did not stop well");
    }
  }
}

/** One line for the operator about a start that failed for a reason that is not a bug. */
function plainReason(error: unknown, config: Config): string | undefined {
  // Raised on purpose, with a sentence for people: no ffmpeg, no catalogue, a directory in use.
  if (error instanceof AppError) return error.message;
  if (!(error instanceof Error) || !("code" in error)) return undefined;
  if (error.code === "EADDRINUSE") {
    return `PORT=${config.PORT}: ${config.HOST}:${config.PORT} is in use by another program.`;
  }
  if (error.code === "EACCES" && "port" in error) return `PORT=${config.PORT}: ${error.message}.`;
  return undefined;
}

async function main(): Promise<void> {
  const config = readConfig(process.env);
  // The log is on stderr: stdout holds the URL, for programs that start this one.
  const log = pino({ level: config.LOG_LEVEL }, pino.destination({ dest: 2, sync: true }));
  const stops: Stop[] = [];
  let stoppingSinceMs: number | undefined;
  const shutDown = async (signal: keyof typeof SIGNAL_EXIT_CODES) => {
    if (stoppingSinceMs !== undefined) {
      if (performance.now() - stoppingSinceMs < SAME_REQUEST_MS) return;
      log.warn({ signal }, "asked again: ending at once");
      process.exit(SIGNAL_EXIT_CODES[signal]);
    }
    stoppingSinceMs = performance.now();
    log.info({ signal }, "stopping");
    setTimeout(() => {
      log.error("something does not stop: ending without it");
      process.exit(1);
    }, config.SHUTDOWN_TIMEOUT_MS + STOP_REST_MS_MAX);
    await stopAll(stops, log);
    log.info("stopped");
    process.exit(0);
  };
  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    process.on(signal, () => void shutDown(signal));
  }
  try {
    await serve(config, log, stops);
  } catch (error) {
    await stopAll(stops, log);
    const reason = plainReason(error, config);
    if (reason === undefined) throw error;
    process.stderr.write(`${reason}\n`);
    process.exit(1);
  }
}

try {
  await main();
} catch (error) {
  if (!(error instanceof ConfigError)) throw error;
  process.stderr.write(`${error.message}\n`);
  process.exit(1);
}

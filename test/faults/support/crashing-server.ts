import { fileURLToPath } from "node:url";
import { freePort } from "../../support/free-port.ts";
import { startServer, type TrackCaptureServer } from "../../support/track-capture-server.ts";
import type { SeededRandom } from "./seeded-random.ts";

const projectRoot = fileURLToPath(new URL("../../..", import.meta.url));

/** A start takes about so long; a crash within it falls into the recovery, before, or right after. */
const START_MS = 900;

/** What the crashes met. */
export interface CrashCounts {
  /** Crashes of a server that served. */
  serving: number;
  /** Crashes of a server that had not said yet that it serves. */
  starting: number;
  /** Lines of the log by which a start told what it found. */
  recoveries: number;
  /** Lines of the log about torn tails. */
  tornTails: number;
}

/**
 * A server on one directory and one port that is killed again and again (SIGKILL), and started again
 * each time.
 */
export class CrashingServer implements AsyncDisposable {
  readonly recordingsDirectory: string;
  readonly counts: CrashCounts = { serving: 0, starting: 0, recoveries: 0, tornTails: 0 };
  readonly #port: number;
  readonly #env: Readonly<Record<string, string>>;
  #server: TrackCaptureServer;

  private constructor(
    recordingsDirectory: string,
    port: number,
    env: Readonly<Record<string, string>>,
    server: TrackCaptureServer,
  ) {
    this.recordingsDirectory = recordingsDirectory;
    this.#port = port;
    this.#env = env;
    this.#server = server;
  }

  /** Starts it for the first time. */
  static async start(
    recordingsDirectory: string,
    env: Readonly<Record<string, string>> = {},
  ): Promise<CrashingServer> {
    const port = await freePort();
    const server = await startServer({
      recordingsDirectory,
      env: { ...env, PORT: String(port) },
    });
    return new CrashingServer(recordingsDirectory, port, env, server);
  }

  /** The same after every crash. */
  get url(): string {
    return this.#server.url;
  }

  /** Crashes so far. */
  get crashes(): number {
    return this.counts.serving + this.counts.starting;
  }

  /** Kills the server where it stands. No process runs on the directory when it resolves. */
  async crash(): Promise<void> {
    await this.#server.kill();
    this.counts.serving += 1;
    this.#readLog();
  }

  /** Starts a server and kills it at a random moment of its start. */
  async crashWhileStarting(random: SeededRandom): Promise<void> {
    const child = Bun.spawn([process.execPath, "src/main.ts"], {
      cwd: projectRoot,
      env: { ...process.env, ...this.#serverEnv() },
      stdio: ["ignore", "ignore", "ignore"],
    });
    await Bun.sleep(random.int(START_MS / 4, START_MS));
    child.kill("SIGKILL");
    await child.exited;
    this.counts.starting += 1;
  }

  /** Starts the server again after a crash; resolves when it serves. */
  async restart(): Promise<void> {
    this.#server = await startServer({
      recordingsDirectory: this.recordingsDirectory,
      env: this.#serverEnv(),
    });
  }

  /** Ends the server as an operator does. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server[Symbol.asyncDispose]();
  }

  #serverEnv(): Record<string, string | undefined> {
    return {
      ...this.#env,
      NODE_ENV: undefined,
      PORT: String(this.#port),
      RECORDINGS_DIR: this.recordingsDirectory,
    };
  }

  #readLog(): void {
    for (const line of this.#server.stderr().split("\n")) {
      if (line.includes('"msg":"recovered"')) this.counts.recoveries += 1;
      if (line.includes('"msg":"torn tail cut off"')) this.counts.tornTails += 1;
    }
  }
}

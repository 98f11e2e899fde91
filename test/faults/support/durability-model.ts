import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { z } from "zod";
import { descriptorPath, stringArguments, type SystemCall } from "./strace-log.ts";

const WRITES: ReadonlySet<string> = new Set(["write", "writev", "pwrite64", "pwritev", "pwritev2"]);
const SENDS: ReadonlySet<string> = new Set(["write", "writev", "sendto", "sendmsg"]);

const acknowledgementSchema = z.object({
  segmentId: z.string(),
  chunks: z.array(z.object({ sequence: z.int() })),
});
const endedSchema = z.object({ segmentId: z.string(), ended: z.literal(true) });
const readySchema = z.object({ recordingId: z.string(), state: z.literal("ready") });

/** Bytes that were written into a file. */
interface Write {
  readonly bytes: Buffer;
  /** From the file's start; -1 when the call does not say. */
  readonly offsetBytes: number;
  readonly endedAt: number;
  /**
   * `failed`: a sync of the file failed, after which no other sync can vouch for it. `doubtful`: a
   * sync of the whole file system failed, which may have tried to write it and told of that failure
   * once and for all: no later one speaks of it, only a sync of the file itself (syncfs(2), Errors).
   */
  state: "volatile" | "durable" | "failed" | "doubtful";
}

/** A name in a directory. */
interface Entry {
  readonly madeAt: number;
  isDurable: boolean;
}

/** What a server promised before it was so. */
export interface EarlyAnswer {
  readonly answer: string;
  readonly because: string;
}

/** What a model checked. */
export interface CheckedAnswers {
  readonly early: readonly EarlyAnswer[];
  /** Answers that acknowledge chunks, segments' ends, or finished MP4s. */
  readonly answers: number;
  readonly chunks: number;
}

/**
 * What a machine that loses its power would still have of a directory, worked out from the system
 * calls of the servers that ran on it: written bytes are there once an fsync or fdatasync of the
 * file, or a syncfs, that began after the write has succeeded; a new or renamed name once its
 * directory was synced.
 */
export class DurabilityModel {
  readonly #rootDirectory: string;
  /** Payloads by segment and sequence. */
  readonly #payloads: ReadonlyMap<string, readonly Uint8Array[]>;
  readonly #writes = new Map<string, Write[]>();
  readonly #entries = new Map<string, Entry>();

  /**
   * @param rootDirectory of the recordings; its directory is there and durable
   * @param payloads of every segment that is uploaded: no payload occurs within another
   */
  constructor(rootDirectory: string, payloads: ReadonlyMap<string, readonly Uint8Array[]>) {
    this.#rootDirectory = rootDirectory;
    this.#payloads = payloads;
  }

  /** Takes names as they are there after a sync of their directory that failed, or never came. */
  distrustNames(paths: readonly string[]): void {
    for (const path of paths) {
      if (existsSync(path)) this.#entries.set(path, { madeAt: -1, isDurable: false });
    }
  }

  /**
   * Takes a file's bytes as they are there.
   *
   * @param afterFailedSync whether a sync of them failed: then only writing them anew helps; otherwise
   * they were never synced
   */
  async distrustBytes(path: string, afterFailedSync: boolean): Promise<void> {
    const file = Bun.file(path);
    if (!(await file.exists())) return;
    const bytes = Buffer.from(await file.bytes());
    const state = afterFailedSync ? "failed" : "volatile";
    this.#writes.set(path, [{ bytes, offsetBytes: 0, endedAt: -1, state }]);
  }

  /** Takes in all that one server did, and checks each of its answers at the moment it was sent. */
  run(calls: readonly SystemCall[]): CheckedAnswers {
    const early: EarlyAnswer[] = [];
    let answers = 0;
    let chunks = 0;
    const events = calls
      .flatMap((call) => [
        { call, at: call.beganAt, isEnd: false },
        { call, at: call.endedAt, isEnd: true },
      ])
      .toSorted((a, b) => (a.at === b.at ? Number(a.isEnd) - Number(b.isEnd) : a.at - b.at));
    for (const { call, isEnd } of events) {
      if (isEnd) {
        this.#apply(call);
        continue;
      }
      const body = answerBody(call);
      if (body === undefined) continue;
      const checked = this.#check(body);
      answers += checked.promises > 0 ? 1 : 0;
      chunks += checked.chunks;
      early.push(...checked.broken.map((because) => ({ answer: body, because })));
    }
    // Positions of the next log begin anew; what is volatile stays so until it is synced again.
    for (const writes of this.#writes.values()) {
      for (const [i, write] of writes.entries()) writes[i] = { ...write, endedAt: -1 };
    }
    for (const [path, entry] of this.#entries) this.#entries.set(path, { ...entry, madeAt: -1 });
    return { early, answers, chunks };
  }

  /** Whether the bytes are durable in the file, and the file's name too. */
  #isDurable(path: string, bytes: Uint8Array): boolean {
    const writes = this.#writes.get(path) ?? [];
    return (
      this.#isNameDurable(path) &&
      writes.some((write) => write.state === "durable" && write.bytes.includes(bytes))
    );
  }

  #isNameDurable(path: string): boolean {
    for (let at = path; at.length > this.#rootDirectory.length; at = dirname(at)) {
      if (this.#entries.get(at)?.isDurable === false) return false;
    }
    return true;
  }

  #check(body: string): { promises: number; chunks: number; broken: string[] } {
    const broken: string[] = [];
    const json = parseJson(body);
    const acknowledgement = acknowledgementSchema.safeParse(json);
    if (acknowledgement.success) {
      const { segmentId, chunks } = acknowledgement.data;
      for (const { sequence } of chunks) {
        const payload = this.#payloads.get(segmentId)?.[sequence];
        const path = this.#chunkFile(segmentId);
        if (payload === undefined || path === undefined || !this.#isDurable(path, payload)) {
          broken.push(`chunk ${sequence} of ${path ?? segmentId} is not durable`);
        }
      }
      return { promises: chunks.length, chunks: chunks.length, broken };
    }
    const ended = endedSchema.safeParse(json);
    if (ended.success) {
      const path = this.#chunkFile(ended.data.segmentId);
      if (path === undefined || !this.#isDurable(path, Buffer.from("chunkCount"))) {
        broken.push(`the end of segment ${ended.data.segmentId} is not durable`);
      }
      return { promises: 1, chunks: 0, broken };
    }
    const ready = readySchema.safeParse(json);
    if (!ready.success) return { promises: 0, chunks: 0, broken };
    const directory = join(this.#rootDirectory, ready.data.recordingId);
    const media = [...this.#writes].filter(
      ([path]) => path.startsWith(`${directory}/`) && path.endsWith(".mp4"),
    );
    if (media.length === 0) broken.push(`no MP4 was written in ${directory}`);
    for (const [path, writes] of media) {
      if (!this.#isNameDurable(path)) broken.push(`the name ${path} is not durable`);
      if (writes.some(({ state }) => state !== "durable")) {
        broken.push(`bytes of ${path} are not durable`);
      }
    }
    return { promises: 1, chunks: 0, broken };
  }

  #chunkFile(segmentId: string): string | undefined {
    return [...this.#writes.keys()].find((path) => path.endsWith(`/${segmentId}.chunks`));
  }

  #apply(call: SystemCall): void {
    const { name } = call;
    if (WRITES.has(name)) this.#applyWrite(call);
    else if (name === "fsync" || name === "fdatasync" || name === "syncfs") this.#applySync(call);
    else if (call.result !== undefined) this.#applyName(call);
  }

  #applyWrite(call: SystemCall): void {
    const path = descriptorPath(call);
    if (path === undefined || !this.#isOurs(path) || call.result === undefined) return;
    const bytes = Buffer.concat(stringArguments(call)).subarray(0, call.result);
    const offset = call.name.startsWith("p") ? /, (\d+)$/.exec(call.argumentText)?.[1] : undefined;
    const writes = this.#writes.get(path) ?? [];
    writes.push({
      bytes,
      offsetBytes: offset === undefined ? -1 : Number(offset),
      endedAt: call.endedAt,
      state: "volatile",
    });
    this.#writes.set(path, writes);
  }

  #applySync(call: SystemCall): void {
    const synced = descriptorPath(call);
    if (synced === undefined) return;
    const isForAll = call.name === "syncfs";
    const isDone = call.result === 0;
    if (isForAll && !isDone) {
      this.#doubtAllWrites();
      return;
    }
    for (const [path, writes] of this.#writes) {
      if (!isForAll && path !== synced) continue;
      for (const write of writes) {
        const isInReach = write.state === "volatile" || (write.state === "doubtful" && !isForAll);
        if (!isInReach || write.endedAt >= call.beganAt) continue;
        write.state = isDone ? "durable" : "failed";
      }
    }
    for (const [path, entry] of this.#entries) {
      if (!isForAll && dirname(path) !== synced) continue;
      if (isDone && entry.madeAt < call.beganAt) entry.isDurable = true;
    }
  }

  // Also those that ended while it was under way: it may have come upon them.
  #doubtAllWrites(): void {
    for (const write of [...this.#writes.values()].flat()) {
      if (write.state === "volatile") write.state = "doubtful";
    }
  }

  #applyName(call: SystemCall): void {
    const paths = stringArguments(call).map((bytes) => bytes.toString());
    const [path, renamed] = paths;
    const madeAt = call.endedAt;
    switch (call.name) {
      case "rename":
      case "renameat":
      case "renameat2": {
        if (path === undefined || renamed === undefined || !this.#isOurs(renamed)) return;
        this.#writes.set(renamed, this.#writes.get(path) ?? []);
        this.#forget(path);
        this.#entries.set(renamed, { madeAt, isDurable: false });
        return;
      }
      case "mkdir":
      case "mkdirat":
      case "open":
      case "openat":
      case "creat": {
        const makes = call.name.startsWith("mkdir") || call.argumentText.includes("O_CREAT");
        if (!makes || path === undefined || !this.#isOurs(path)) return;
        if (!this.#entries.has(path)) this.#entries.set(path, { madeAt, isDurable: false });
        if (call.argumentText.includes("O_TRUNC")) this.#writes.delete(path);
        return;
      }
      case "truncate":
      case "ftruncate": {
        const target = descriptorPath(call) ?? path;
        const end = Number(/, (\d+)$/.exec(call.argumentText)?.[1]);
        const writes = this.#writes.get(target ?? "");
        if (target === undefined || writes === undefined) return;
        this.#writes.set(
          target,
          writes.filter(({ offsetBytes }) => offsetBytes < end),
        );
        return;
      }
      case "unlink":
      case "unlinkat":
      case "rmdir":
        if (path !== undefined) this.#forget(path);
    }
  }

  #forget(path: string): void {
    this.#writes.delete(path);
    this.#entries.delete(path);
  }

  #isOurs(path: string): boolean {
    return path.startsWith(`${this.#rootDirectory}/`);
  }
}

/** Body of the HTTP answer that a call begins to send; undefined for other calls. */
function answerBody(call: SystemCall): string | undefined {
  if (!SENDS.has(call.name) || !/^\d+<(?:socket|TCP)/.test(call.argumentText)) return undefined;
  const text = Buffer.concat(stringArguments(call)).toString();
  return /^HTTP\/1\.1 2\d\d .*?\r\n\r\n(.*)$/s.exec(text)?.[1];
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    // Media and pages are answers too.
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

import { HttpConnection } from "../bench/http-connection.ts";
import { rawUpload } from "../http/raw-upload.ts";

const CHUNK_BYTES = 128 * 1024;
const EBML_MAGIC = [0x1a, 0x45, 0xdf, 0xa3] as const;

/** How participants are to upload. */
export interface SteadyUploadOptions {
  readonly recordingId: string;
  readonly participants: number;
  /** From one chunk of a participant to its next. */
  readonly everyMs: number;
}

/** What became of their chunks. */
export interface SteadyUploadReport {
  /** Status and how often it was the answer. */
  readonly statuses: ReadonlyMap<number, number>;
  /** From the first byte of each request to its answer. */
  readonly latenciesMs: readonly number[];
}

/** Participants of a call as it should be, while something else is going on. */
export interface SteadyUploads {
  /** Lets each finish its chunk and ends them. */
  end(): Promise<SteadyUploadReport>;
}

/** Lets participants upload a chunk of 128 KiB each at a steady pace, until they are ended. */
export function startSteadyUploads(
  serverUrl: string,
  { recordingId, participants, everyMs }: SteadyUploadOptions,
): SteadyUploads {
  const statuses = new Map<number, number>();
  const latenciesMs: number[] = [];
  const ending = Promise.withResolvers<"end">();
  const payload = crypto.getRandomValues(new Uint8Array(CHUNK_BYTES / 2));
  const chunk = new Uint8Array(CHUNK_BYTES);
  chunk.set(payload);
  chunk.set(payload, CHUNK_BYTES / 2);
  chunk.set(EBML_MAGIC);

  const participate = async (participant: number): Promise<void> => {
    const connection = await HttpConnection.open(Number(new URL(serverUrl).port));
    const segmentId = crypto.randomUUID();
    for (let sequence = 0; ;) {
      const { head, body } = rawUpload({
        recordingId,
        participantId: `participant ${participant}`,
        segmentId,
        sequence,
        payload: chunk,
      });
      const sentAtMs = performance.now();
      const { status } = await connection.send([Buffer.from(head), body]);
      latenciesMs.push(performance.now() - sentAtMs);
      statuses.set(status, (statuses.get(status) ?? 0) + 1);
      if (status === 200) sequence += 1;
      const restMs = Math.max(0, everyMs - (performance.now() - sentAtMs));
      if ((await Promise.race([Bun.sleep(restMs), ending.promise])) === "end") break;
    }
    connection.close();
  };
  const all = Promise.all(Array.from({ length: participants }, (_, i) => participate(i)));
  return {
    end: async () => {
      ending.resolve("end");
      await all;
      return { statuses, latenciesMs };
    },
  };
}

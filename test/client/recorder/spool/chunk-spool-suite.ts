import type {
  ChunkKey,
  ChunkSpool,
  SpooledChunk,
} from "../../../../client/recorder/spool/chunk-spool.ts";

const ANY = { bytesMax: 1_000, chunksMax: 100 };

/** A chunk whose bytes tell its name, so that a mix-up shows. */
export function spooledChunk(segmentId: string, sequence: number, bytes = 10): SpooledChunk {
  return {
    recordingId: "recording",
    participantId: "alice",
    trackId: "camera",
    segmentId,
    sequence,
    payload: new Blob([`${segmentId}${sequence}`.padEnd(bytes, "x").slice(0, bytes)]),
    mimeType: "video/webm",
    beganAtMs: 1_000 * segmentId.charCodeAt(0) + sequence,
    clockOffsetMs: sequence === 1 ? null : -250.5,
    durationMs: 1_000,
    marks: sequence === 2 ? [] : [{ type: "frozen", atMs: 1_000, toMs: 2_000.5 + sequence }],
  };
}

/** One thing that every spool does; throws when this one does not. */
export interface SpoolBehaviour {
  readonly name: string;
  readonly check: (spool: ChunkSpool) => Promise<void>;
}

const names = (chunks: readonly ChunkKey[]): string =>
  chunks.map(({ segmentId, sequence }) => `${segmentId}${sequence}`).join(" ");

function same(actual: unknown, expected: unknown): void {
  const [a, b] = [JSON.stringify(actual), JSON.stringify(expected)];
  if (a !== b) throw new Error(`It is ${a}, not ${b}`);
}

async function fill(spool: ChunkSpool, ...chunks: readonly SpooledChunk[]): Promise<void> {
  await Promise.all(chunks.map((chunk) => spool.put(chunk)));
}

function first<T>(values: readonly T[]): T {
  const [value] = values;
  if (value === undefined) throw new Error("There is none");
  return value;
}

/** What a `ChunkSpool` promises. Each is checked with an empty spool, in any environment. */
export const SPOOL_BEHAVIOURS: readonly SpoolBehaviour[] = [
  {
    name: "lends the oldest run of one segment, once",
    check: async (spool) => {
      await fill(spool, spooledChunk("a", 0), spooledChunk("a", 1), spooledChunk("b", 0));
      same(names(await spool.take(ANY)), "a0 a1");
      same(names(await spool.take(ANY)), "b0");
      same(await spool.take(ANY), []);
    },
  },
  {
    name: "gives each chunk as it was put, byte by byte",
    check: async (spool) => {
      const put = [spooledChunk("a", 0, 20), spooledChunk("a", 1, 0), spooledChunk("a", 2, 1)];
      await fill(spool, ...put);
      const taken = await spool.take(ANY);
      for (const [i, chunk] of put.entries()) {
        for (const found of [taken[i], (await spool.list())[i]]) {
          same(await found?.payload?.text(), await chunk.payload.text());
          const { payload: _expected, ...fields } = chunk;
          for (const [name, value] of Object.entries(fields)) {
            same([name, found === undefined ? null : Reflect.get(found, name)], [name, value]);
          }
        }
      }
    },
  },
  {
    name: "lends no more than the limits, but at least one chunk",
    check: async (spool) => {
      await fill(
        spool,
        spooledChunk("a", 0, 40),
        spooledChunk("a", 1, 10),
        spooledChunk("a", 2, 10),
      );
      same(names(await spool.take({ bytesMax: 25, chunksMax: 9 })), "a0");
      same(names(await spool.take({ bytesMax: 25, chunksMax: 1 })), "a1");
      same(names(await spool.take({ bytesMax: 25, chunksMax: 9 })), "a2");
    },
  },
  {
    name: "lends only consecutive chunks together",
    check: async (spool) => {
      const put = [0, 1, 2, 4].map((sequence) => spooledChunk("a", sequence));
      await fill(spool, ...put);
      const taken = await spool.take({ bytesMax: 1_000, chunksMax: 2 });
      await spool.giveBack([first(taken)]);
      same(names(await spool.take(ANY)), "a0");
      same(names(await spool.take(ANY)), "a2");
      same(names(await spool.take(ANY)), "a4");
    },
  },
  {
    name: "lends what was given back before anything newer",
    check: async (spool) => {
      await fill(spool, spooledChunk("a", 0), spooledChunk("a", 1));
      const taken = await spool.take(ANY);
      await spool.put(spooledChunk("a", 2));
      await spool.giveBack(taken);
      same(names(await spool.take(ANY)), "a0 a1 a2");
    },
  },
  {
    name: "forgets only what is deleted",
    check: async (spool) => {
      await fill(spool, spooledChunk("a", 0), spooledChunk("a", 1), spooledChunk("b", 0));
      const taken = await spool.take({ bytesMax: 1_000, chunksMax: 1 });
      same(names(await spool.list()), "a0 a1 b0");
      await spool.delete(taken);
      await spool.giveBack(taken);
      same(names(await spool.list()), "a1 b0");
      same(names(await spool.take(ANY)), "a1");
    },
  },
  {
    name: "keeps a refused chunk when its segment is closed",
    check: async (spool) => {
      await fill(spool, spooledChunk("a", 0), spooledChunk("a", 1));
      await spool.endSegment("a", 2);
      await spool.delete(await spool.take({ bytesMax: 1_000, chunksMax: 1 }));
      await spool.closeSegment("a");
      same(names(await spool.list()), "a1");
    },
  },
];

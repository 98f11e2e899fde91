import { until } from "../support/until.ts";

/** An answer of `source?live` that is being read. */
export interface LiveReading {
  readonly status: number;
  readonly contentType: string | null;
  readonly segmentId: string | null;
  /** All that has come up to now. */
  bytes(): Buffer;
  /** Waits until more than so many bytes have come. */
  more(thanBytes: number): Promise<void>;
  /** Resolves when the server has ended the answer. */
  readonly ended: Promise<void>;
  /** Goes away, as a page that is closed. */
  leave(): void;
}

const TIMEOUT_MS = 20_000;

/** Begins to read what a live view gives. */
export async function readLive(sourceUrl: string): Promise<LiveReading> {
  const leaving = new AbortController();
  const response = await fetch(`${sourceUrl}?live`, { signal: leaving.signal });
  const parts: Uint8Array[] = [];
  const read = async (): Promise<void> => {
    try {
      for await (const part of response.body ?? []) parts.push(part);
    } catch (error) {
      if (!leaving.signal.aborted) throw error;
    }
  };
  const bytes = (): Buffer => Buffer.concat(parts);
  return {
    status: response.status,
    contentType: response.headers.get("content-type"),
    segmentId: response.headers.get("x-segment-id"),
    bytes,
    more: async (thanBytes) => {
      const what = `more than ${thanBytes} bytes have come`;
      const enough = () => bytes().length > thanBytes || undefined;
      await until(enough, { what, timeoutMs: TIMEOUT_MS });
    },
    ended: read(),
    leave: () => leaving.abort(),
  };
}

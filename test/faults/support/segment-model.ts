import type { ChunkOutcome, SequenceRange } from "../../../src/contract/chunks.ts";

const EBML_MAGIC = "\x1a\x45\xdf\xa3";

/** What a chunk of a model carries: one of two different payloads, or none. */
export type Variant = "one" | "two" | "empty";

/** Chunks of one request. */
export interface ModelAppend {
  readonly segment: number;
  readonly participant: number;
  readonly firstSequence: number;
  readonly variants: readonly Variant[];
  /** Index of the chunk whose hash the client tells wrong; undefined when all are right. */
  readonly wrongHashAt: number | undefined;
}

/** What an append must give: the outcomes of its chunks, or why it was refused whole. */
export type ModelAnswer =
  | { readonly outcomes: readonly { sequence: number; outcome: ChunkOutcome }[] }
  | { readonly refusal: "chunk-conflict" | "chunk-hash-mismatch" | "chunk-malformed" };

/** Payload of a chunk of the model; no two chunks with one are alike. */
export function modelPayload(
  segment: number,
  sequence: number,
  variant: Variant,
): Uint8Array<ArrayBuffer> {
  if (variant === "empty") return new Uint8Array();
  const text = `${sequence === 0 ? EBML_MAGIC : ""}${segment}/${sequence}/${variant};`;
  return Uint8Array.from(text, (character) => character.charCodeAt(0));
}

/** A segment as the contract defines it, in the fewest words: a map from sequence to payload. */
export class SegmentModel {
  readonly #segment: number;
  readonly chunks = new Map<number, Variant>();
  chunkCount: number | null = null;
  /** Who opened it; undefined while it does not exist. */
  #participant: number | undefined;

  constructor(segment: number) {
    this.#segment = segment;
  }

  /** A model of its own with the same contents. */
  clone(): SegmentModel {
    const copy = new SegmentModel(this.#segment);
    for (const [sequence, variant] of this.chunks) copy.chunks.set(sequence, variant);
    copy.chunkCount = this.chunkCount;
    copy.#participant = this.#participant;
    return copy;
  }

  get exists(): boolean {
    return this.#participant !== undefined;
  }

  /** Takes a request whole, or refuses it whole. */
  append(request: ModelAppend): ModelAnswer {
    const { participant, firstSequence, variants, wrongHashAt } = request;
    if (this.exists && this.#participant !== participant) return { refusal: "chunk-conflict" };
    const outcomes: { sequence: number; outcome: ChunkOutcome }[] = [];
    for (const [i, variant] of variants.entries()) {
      const sequence = firstSequence + i;
      const stored = this.chunks.get(sequence);
      if (i === wrongHashAt) return { refusal: "chunk-hash-mismatch" };
      if (stored !== undefined) {
        if (stored !== variant) return { refusal: "chunk-conflict" };
        outcomes.push({ sequence, outcome: "duplicate" });
        continue;
      }
      if (sequence === 0 && variant === "empty") return { refusal: "chunk-malformed" };
      if (this.chunkCount !== null && sequence >= this.chunkCount) {
        return { refusal: "chunk-conflict" };
      }
      outcomes.push({ sequence, outcome: "accepted" });
    }
    for (const [i, variant] of variants.entries()) this.chunks.set(firstSequence + i, variant);
    this.#participant = participant;
    return { outcomes };
  }

  /** Takes a total, or gives why it is refused. */
  end(chunkCount: number): "segment-not-found" | "chunk-conflict" | undefined {
    if (!this.exists) return "segment-not-found";
    if (this.#end > chunkCount) return "chunk-conflict";
    this.chunkCount = chunkCount;
    return undefined;
  }

  /** The resume point that the server must tell. */
  status(): { nextSequence: number; missing: SequenceRange[]; bytes: number; ended: boolean } {
    const total = this.chunkCount ?? this.#end;
    const missing: SequenceRange[] = [];
    for (let sequence = 0; sequence < total; sequence += 1) {
      if (this.chunks.has(sequence)) continue;
      const last = missing.at(-1);
      if (last?.to === sequence - 1) last.to = sequence;
      else missing.push({ from: sequence, to: sequence });
    }
    let nextSequence = 0;
    while (this.chunks.has(nextSequence)) nextSequence += 1;
    const bytes = this.payloads().reduce((sum, { payload }) => sum + payload.length, 0);
    return { nextSequence, missing, bytes, ended: this.chunkCount !== null };
  }

  /** All chunks in order of sequence. */
  payloads(): { sequence: number; payload: Uint8Array }[] {
    return [...this.chunks]
      .toSorted(([a], [b]) => a - b)
      .map(([sequence, variant]) => ({
        sequence,
        payload: modelPayload(this.#segment, sequence, variant),
      }));
  }

  get #end(): number {
    return Math.max(-1, ...this.chunks.keys()) + 1;
  }
}

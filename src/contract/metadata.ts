import { z } from "zod";

/** A JSON value. */
export type Json = string | number | boolean | null | Json[] | { [key: string]: Json };

/** What the app says about a recording. */
export type RecordingMetadata = Record<string, Json>;

/** Largest `metadata` of a recording, in characters of its JSON. */
export const METADATA_JSON_LENGTH_MAX = 16_384;

/**
 * The `metadata` of a recording, as it is: any object of JSON. zod's own schemas copy an object key by
 * key, which loses the key `__proto__`, and recurse, which a deep value turns into a stack overflow.
 */
export const metadataSchema = z
  .custom<RecordingMetadata>(
    (value) => typeof value === "object" && value !== null && !Array.isArray(value),
    "metadata must be an object",
  )
  .meta({ type: "object", additionalProperties: {} });

/**
 * The `metadata` that a request brings; its depth is bounded where the body is read.
 *
 * `1e999` is JSON, but becomes Infinity, which JSON cannot express: it would come back as null.
 */
export const newMetadataSchema = metadataSchema
  .refine(hasOnlyFiniteNumbers, "metadata must not hold numbers beyond 1.8e308")
  .refine(
    (value) => JSON.stringify(value).length <= METADATA_JSON_LENGTH_MAX,
    `metadata must be at most ${METADATA_JSON_LENGTH_MAX} characters of JSON`,
  );

/** Without recursion: how deep `value` is does not matter. */
function hasOnlyFiniteNumbers(value: Json): boolean {
  const rest: Json[] = [value];
  for (let part = rest.pop(); part !== undefined; part = rest.pop()) {
    if (typeof part === "number" && !Number.isFinite(part)) return false;
    if (typeof part === "object" && part !== null) {
      for (const inner of Object.values(part)) rest.push(inner);
    }
  }
  return true;
}

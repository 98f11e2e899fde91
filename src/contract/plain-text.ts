import { z } from "zod";

/** NUL ends a text for SQLite and C; half of a surrogate pair is no character, and UTF-8 has none. */
const UNSTORABLE = /[\0\p{Cs}]/u;

/** Text that comes back from every database and file as it was stored: no NUL, no lone surrogate. */
export const plainTextSchema = z
  .string()
  .refine((text) => !UNSTORABLE.test(text), "must not contain NUL or half of a surrogate pair");

/** Such text of 1 to `max` code points, as JSON Schema counts, without the spaces around it. */
export const shortTextSchema = (max: number) =>
  plainTextSchema
    .trim()
    .min(1)
    .refine((text) => Array.from(text).length <= max, `must have at most ${max} characters`)
    .meta({ maxLength: max });

/** A whole number in plain digits: no sign, exponent, fraction, `0x` or spaces. */
export const digitsSchema = (max: number) =>
  z
    .string()
    .regex(/^\d{1,16}$/, "must be plain digits")
    .transform(Number)
    .pipe(z.int().min(0).max(max))
    .meta({ type: "integer", minimum: 0, maximum: max });

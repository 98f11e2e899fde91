import type { z } from "zod";
import { InvalidRequestError } from "./request-errors.ts";

/** Values that do not fit are named up to so many: an array or an object can hold thousands. */
const NAMED_ERRORS_MAX = 20;

/**
 * Checks a part of a request against its schema and gives what the schema makes of it.
 *
 * @param nameOf where a faulty value stands in the request, from its path within the part.
 * @throws InvalidRequestError that names the values that do not fit, the first of many.
 */
export function parseRequest<Schema extends z.ZodType>(
  schema: Schema,
  part: unknown,
  nameOf: (path: string) => string,
): z.output<Schema> {
  const result = schema.safeParse(part);
  if (result.success) return result.data;
  const errors = result.error.issues.slice(0, NAMED_ERRORS_MAX).map(({ path, message }) => ({
    path: nameOf(path.join(".")),
    message,
  }));
  throw new InvalidRequestError(describeErrors(errors), errors);
}

/** The values that do not fit, as one sentence. */
export function describeErrors(errors: InvalidRequestError["errors"]): string {
  const details = errors.map(({ path, message }) => `${path}: ${message}`);
  return `The request does not fit the contract: ${details.join("; ")}.`;
}

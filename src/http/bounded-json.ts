import { isJsonDeeperThan, JSON_DEPTH_MAX } from "../contract/json-depth.ts";
import { InvalidRequestError } from "./request-errors.ts";

/**
 * Parses the JSON of a request.
 *
 * @throws InvalidRequestError when it is nested too deeply; SyntaxError when it is not JSON
 */
export function parseBoundedJson(text: string): unknown {
  if (isJsonDeeperThan(text, JSON_DEPTH_MAX)) {
    throw new InvalidRequestError(
      `JSON must not have more than ${JSON_DEPTH_MAX} levels of arrays and objects.`,
    );
  }
  return JSON.parse(text);
}

import { JSON_DEPTH_MAX, JSON_PUNCTUATION_MAX, jsonExcess } from "../contract/json-limits.ts";
import { InvalidRequestError } from "./request-errors.ts";

/**
 * Parses the JSON of a request.
 *
 * @throws InvalidRequestError when it is nested too deeply, or has too many values; SyntaxError when it is
 * not JSON
 */
export function parseBoundedJson(text: string): unknown {
  switch (jsonExcess(text, { depthMax: JSON_DEPTH_MAX, punctuationMax: JSON_PUNCTUATION_MAX })) {
    case "depthMax":
      throw new InvalidRequestError(
        `JSON must not have more than ${JSON_DEPTH_MAX} levels of arrays and objects.`,
      );
    case "punctuationMax":
      throw new InvalidRequestError(
        `JSON must not have more than ${JSON_PUNCTUATION_MAX} brackets, commas and quotation marks.`,
      );
    case undefined:
      return JSON.parse(text);
  }
}

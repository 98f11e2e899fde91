import type { DocumentDecoration } from "elysia";
import { z } from "zod";
import { problemSchema } from "../contract/problem.ts";
import { PROBLEM_CONTENT_TYPE } from "./problems.ts";

type JsonSchema = Record<string, unknown>;

/** A body of a request or an answer: its content type, and the schema where it has one. */
type Content = { readonly type: string; readonly schema?: JsonSchema };

/** What OpenAPI tells about an operation. */
export interface Operation {
  /** Group in the list of operations. */
  readonly tag: "Recordings" | "Chunks" | "Media" | "Exports" | "Server" | "Guide";
  readonly summary: string;
  readonly description?: string;
  readonly body?: Content & { readonly required: boolean };
  /** Answers that are no errors: status to what it means, and its body. */
  readonly answers: Readonly<Record<number, { readonly means: string; readonly body?: Content }>>;
  /** Statuses of errors that belong to this operation. */
  readonly problems?: readonly number[];
}

/** JSON that a client sends. */
export function jsonInput(schema: z.ZodType): Content {
  return { type: "application/json", schema: inputSchema(schema) };
}

/** JSON that the server sends. */
export function jsonOutput(schema: z.ZodType): Content {
  return { type: "application/json", schema: jsonSchemaOf(schema, "output") };
}

/** JSON Schema of what a client sends. */
export function inputSchema(schema: z.ZodType): JsonSchema {
  return jsonSchemaOf(schema, "input");
}

/**
 * Inside an OpenAPI document a schema cannot refer to definitions of its own: `#` is the document.
 * The only ones are those of arbitrary JSON, which refers to itself and is any value.
 */
function jsonSchemaOf(schema: z.ZodType, io: "input" | "output"): JsonSchema {
  const {
    $schema: _dialect,
    $defs: _definitions,
    ...own
  } = z.toJSONSchema(schema, {
    io,
    unrepresentable: "any",
  });
  return JSON.parse(JSON.stringify(own), (_key, value: unknown) =>
    typeof value === "object" && value !== null && "$ref" in value ? {} : value,
  );
}

/** Describes an operation for OpenAPI, with the same schemas that check it. */
export function operation({
  tag,
  summary,
  description,
  body,
  answers,
  problems = [],
}: Operation): DocumentDecoration {
  const good = Object.entries(answers).map(([status, answer]) => [
    status,
    { description: answer.means, ...(answer.body ? { content: contentOf(answer.body) } : {}) },
  ]);
  const problem = {
    description: "A problem (RFC 9457)",
    content: contentOf({ ...jsonOutput(problemSchema), type: PROBLEM_CONTENT_TYPE }),
  };
  return {
    tags: [tag],
    summary,
    ...(description === undefined ? {} : { description }),
    ...(body === undefined
      ? {}
      : { requestBody: { required: body.required, content: contentOf(body) } }),
    responses: Object.fromEntries([...good, ...problems.map((status) => [status, problem])]),
  };
}

function contentOf({ type, schema }: Content): Record<string, { schema: JsonSchema }> {
  return { [type]: { schema: schema ?? { type: "string", format: "binary" } } };
}

import { describe, expect, test } from "bun:test";
import * as fc from "fast-check";
import { boundaryOf, parseMultipart, type RequestForm } from "../../src/http/multipart.ts";
import { InvalidRequestError, UnreadableBodyError } from "../../src/http/request-errors.ts";

const BOUNDARY = "----WebKitFormBoundary7MA4YWxkTrZu0gW";

/** What `Request.formData()` and the parser are compared by: name, kind and bytes of each part. */
type Entry = [name: string, isFile: boolean, bytes: string];

const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString("base64");

function entriesOf(form: RequestForm): Entry[] {
  return Array.from(form, ([name, parts]) =>
    parts.map(({ isFile, bytes }): Entry => [name, isFile, base64(bytes)]),
  ).flat();
}

async function entriesOfBun(body: Uint8Array<ArrayBuffer>, boundary: string): Promise<Entry[]> {
  const headers = { "content-type": `multipart/form-data; boundary=${boundary}` };
  const form = await new Response(body, { headers }).formData();
  const entries: Entry[] = [];
  for (const [name, value] of form) {
    const bytes = typeof value === "string" ? Buffer.from(value) : await value.bytes();
    entries.push([name, typeof value !== "string", base64(bytes)]);
  }
  return entries;
}

const sorted = (entries: Entry[]): Entry[] =>
  entries.toSorted((a, b) => JSON.stringify(a).localeCompare(JSON.stringify(b)));

const part = (headers: string, body: string | Uint8Array = ""): Uint8Array =>
  Buffer.concat([
    Buffer.from(`--${BOUNDARY}\r\n${headers}\r\n\r\n`),
    Buffer.from(body),
    Buffer.from("\r\n"),
  ]);

const whole = (...parts: Uint8Array[]): Uint8Array<ArrayBuffer> =>
  Buffer.concat([...parts, Buffer.from(`--${BOUNDARY}--\r\n`)]);

const named = (name: string, rest = ""): string =>
  `Content-Disposition: form-data; name="${name}"${rest}`;

/** Bytes that come close to boundaries, line ends and headers, and others. */
const payload = fc
  .array(
    fc.oneof(
      fc.uint8Array({ maxLength: 40 }),
      fc
        .constantFrom(
          "\r\n",
          "\r",
          "\n",
          "--",
          `\r\n--${BOUNDARY.slice(0, -1)}`,
          BOUNDARY,
          "\r\n\r\n",
          "\u0000",
          named("x"),
        )
        .map((text): Uint8Array => Buffer.from(text)),
    ),
    { maxLength: 8 },
  )
  .map((pieces) => new Uint8Array(Buffer.concat(pieces)))
  .filter((bytes) => !Buffer.concat([Buffer.from("\r\n"), bytes]).includes(`\r\n--${BOUNDARY}`));

const text = fc.string({ unit: "grapheme", maxLength: 30 }).filter((value) => value.isWellFormed());

const fieldName = fc.oneof(
  fc.constantFrom("participantId", "trackId", "sequence", "chunk_0", "chunk_1", "sha256_0"),
  fc.stringMatching(/^[\w .@-]{1,20}$/),
);

test("any form that a browser can send gives the parts that Request.formData() gives", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.tuple(fieldName, fc.oneof(text, payload)), { maxLength: 8 }),
      async (fields) => {
        const form = new FormData();
        for (const [name, value] of fields) {
          if (typeof value === "string") form.append(name, value);
          else form.append(name, new Blob([value], { type: "video/webm" }), "blob");
        }
        const response = new Response(form);
        const boundary = boundaryOf(response.headers.get("content-type") ?? "") ?? "";
        const body = new Uint8Array(await response.arrayBuffer());
        expect(sorted(entriesOf(parseMultipart(body, boundary)))).toEqual(
          sorted(await entriesOfBun(body, boundary)),
        );
      },
    ),
    { numRuns: 500 },
  );
});

test("hand-made bodies with hostile payloads, a preamble and an epilogue give what was put in", () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fieldName, payload, fc.boolean()), { maxLength: 6 }),
      fc.constantFrom("", "preamble\r\n", "--\r\nfoo\r\n"),
      fc.constantFrom("", "\r\n", "epilogue", `\r\n--${BOUNDARY}`),
      fc.constantFrom("", " ", "\t "),
      (fields, preamble, epilogue, padding): void => {
        const pieces: Uint8Array[] = [Buffer.from(preamble)];
        for (const [name, bytes, isFile] of fields) {
          const disposition = named(name, isFile ? '; filename="a; name=\\"b\\""' : "");
          pieces.push(
            Buffer.from(`--${BOUNDARY}${padding}\r\nContent-Type: x/y\r\n${disposition}\r\n\r\n`),
            bytes,
            Buffer.from("\r\n"),
          );
        }
        const body = Buffer.concat([...pieces, Buffer.from(`--${BOUNDARY}--${epilogue}`)]);
        const expected = fields.map(([name, bytes, isFile]): Entry => [
          name,
          isFile,
          base64(bytes),
        ]);
        expect(sorted(entriesOf(parseMultipart(body, BOUNDARY)))).toEqual(sorted(expected));
      },
    ),
    { numRuns: 500 },
  );
});

test("a body that is cut off anywhere before its last boundary is unreadable", () => {
  const body = whole(
    part(named("participantId"), "ada"),
    part(named("chunk_0", '; filename="blob"'), "bytes\r\n--"),
  );
  const lastBoundary = body.length - "\r\n".length;
  for (let length = 0; length < lastBoundary; length += 1) {
    expect(() => parseMultipart(body.subarray(0, length), BOUNDARY)).toThrow(UnreadableBodyError);
  }
  expect(parseMultipart(body.subarray(0, lastBoundary), BOUNDARY).size).toBe(2);
});

test("whatever the bytes are, the answer is a form or an error of ours", () => {
  const headline = `--${BOUNDARY}`;
  const bytes = fc
    .array(
      fc.oneof(
        fc.constantFrom(headline, "\r\n", "--", named("a"), "; filename=", '"', " ", "\r\n\r\n"),
        fc.string({ maxLength: 5 }),
      ),
      { maxLength: 30 },
    )
    .map((pieces) => Buffer.from(pieces.join("")));
  fc.assert(
    fc.property(bytes, (body) => {
      try {
        parseMultipart(body, BOUNDARY);
      } catch (error) {
        expect(error).toBeInstanceOf(UnreadableBodyError);
      }
    }),
    { numRuns: 2_000 },
  );
});

const nameOf = (disposition: string) =>
  [...parseMultipart(whole(part(disposition, "x")), BOUNDARY).keys()][0];

describe("names", () => {
  test.each([
    ['Content-Disposition: form-data; name="chunk_0"', "chunk_0"],
    ["content-disposition:form-data;name=chunk_0", "chunk_0"],
    ['CONTENT-DISPOSITION: Form-Data; filename="name=x"; NAME="chunk_0"', "chunk_0"],
    ['Content-Disposition: form-data; filename="a\\"b; name=x"; name="chunk_0"', "chunk_0"],
    ['Content-Disposition: form-data; name="a%22b%0D%0Ac"', 'a"b\r\nc'],
    ['Content-Disposition: form-data; name="Zoë 🎬"', "Zoë 🎬"],
    ['Content-Type: text/plain\r\nContent-Disposition: form-data; name="later"', "later"],
  ])("%s", (disposition, name) => {
    expect(nameOf(disposition)).toBe(name);
  });
});

describe("unreadable is", () => {
  test.each([
    ["a part without a name", whole(part("Content-Disposition: form-data"))],
    ["a part that is no form-data", whole(part('Content-Disposition: attachment; name="x"'))],
    [
      "a part without headers",
      whole(Buffer.from(`--${BOUNDARY}\r\n\r\n${named("x")}\r\n\r\nvalue\r\n`)),
    ],
    [
      "headers without an end",
      whole(Buffer.from(`--${BOUNDARY}\r\n${named("x")}${"a".repeat(10_000)}`)),
    ],
    ["a boundary that goes on", whole(part(named("x"), `a\r\n--${BOUNDARY}X`))],
    ["another boundary", Buffer.from("--other\r\n\r\n--other--\r\n")],
    ["nothing at all", Buffer.from("")],
  ])("%s", (_name, body) => {
    expect(() => parseMultipart(body, BOUNDARY)).toThrow(UnreadableBodyError);
  });
});

test("more parts than any upload has are refused", () => {
  const body = whole(...Array.from({ length: 1_281 }, (_, i) => part(named(`field_${i}`))));
  expect(() => parseMultipart(body, BOUNDARY)).toThrow(InvalidRequestError);
});

test("parts that share a name are all there", () => {
  const form = parseMultipart(whole(part(named("x"), "1"), part(named("x"), "2")), BOUNDARY);
  expect(form.get("x")?.map(({ bytes }) => Buffer.from(bytes).toString())).toEqual(["1", "2"]);
});

test.each([
  ["multipart/form-data; boundary=abc", "abc"],
  ['multipart/form-data; boundary="a b:c"', "a b:c"],
  ["multipart/form-data;charset=utf-8;BOUNDARY=abc; x=y", "abc"],
  ["multipart/form-data", undefined],
  ["multipart/form-data; boundary=", undefined],
  [`multipart/form-data; boundary=${"a".repeat(71)}`, undefined],
  ['multipart/form-data; boundary="a "', undefined],
])("the boundary of %s is %p", (contentType, boundary) => {
  expect(boundaryOf(contentType)).toBe(boundary);
});

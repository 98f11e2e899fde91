import { describe, expect, test } from "bun:test";
import { join, resolve } from "node:path";
import { recordingIdSchema, participantIdSchema, trackIdSchema } from "../../src/contract/ids.ts";
import { RecordingsLayout, directoryNameOf } from "../../src/storage/layout.ts";

describe("directoryNameOf", () => {
  test.each([
    "alice@example.com",
    "..",
    "../../etc/passwd",
    "/",
    "a\u0000b",
    "x".repeat(300),
    "😀".repeat(128),
    "CON",
    "",
  ])("gives %p a name that cannot leave its directory", (word) => {
    const name = directoryNameOf(word);
    expect(name).toMatch(/^[a-z0-9_-]{32,80}$/);
  });

  test("never gives two words one name, also not where case is ignored", () => {
    const words = ["Alice", "alice", "ALICE", "alice ", "a/b", "a-b", "a\\b", "ä", "a\u0308"];
    const names = new Set(words.map((word) => directoryNameOf(word).toLowerCase()));
    expect(names.size).toBe(words.length);
  });

  test("keeps what people can read", () => {
    expect(directoryNameOf("Alice@Example.com")).toStartWith("alice-example-com-");
  });
});

test("media lies in its recording's directory", () => {
  const recordingId = recordingIdSchema.parse(Bun.randomUUIDv7());
  const key = {
    recordingId,
    participantId: participantIdSchema.parse("../../other"),
    trackId: trackIdSchema.parse("../.."),
  };
  const path = new RecordingsLayout("/root").mediaPath(key);
  expect(path).toStartWith(join("/root", recordingId, "tracks"));
  expect(path).not.toContain("..");
});

test("a relative root is made absolute, so that none is taken for an option or a URL", () => {
  for (const root of ["-y", " root", "file:root?", "root/"]) {
    expect(new RecordingsLayout(root).rootDirectory).toBe(resolve(root));
  }
});

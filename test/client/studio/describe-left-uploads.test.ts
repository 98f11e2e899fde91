import { describe, expect, test } from "bun:test";
import {
  describeLeftRefusal,
  describeLeftUploads,
  leftFileName,
  type LeftUploads,
} from "../../../client/studio/describe-left-uploads.ts";

const amount = (seconds: number) => ({ chunks: seconds, bytes: seconds * 100_000, seconds });

function left(pendingS: number, savedS: number, rest: Partial<LeftUploads> = {}): LeftUploads {
  return {
    segments: [{ chunks: pendingS + savedS, state: pendingS > 0 ? "waiting" : "delivered" }],
    progress: { pending: amount(pendingS), acknowledged: amount(savedS) },
    isFinished: false,
    trouble: null,
    ...rest,
  };
}

describe("what an earlier visit left", () => {
  test("is being sent", () => {
    expect(describeLeftUploads(left(5, 1))).toMatchObject({
      tone: "working",
      sentence:
        "5 s (500 KB) that an earlier visit recorded are still on this computer's disk and are being sent now. Keep this page open.",
    });
  });

  test("waits for the server", () => {
    const { tone, sentence } = describeLeftUploads(left(5, 1, { trouble: "Failed to fetch." }));
    expect(tone).toBe("warning");
    expect(sentence).toContain("Failed to fetch. 5 s (500 KB)");
  });

  test("is called saved only when all of it is", () => {
    const saved = describeLeftUploads(left(0, 6, { isFinished: true }));
    expect(saved).toMatchObject({ tone: "safe", headline: "Everything left is saved" });
    expect(saved.sentence).toContain("the last 6 s (600 KB) have just been sent");
    for (const others of [
      left(0, 6),
      left(1, 5),
      left(1, 5, { isFinished: true }),
      left(1, 5, { isFinished: true, segments: [{ chunks: 6, state: "refused" }] }),
    ]) {
      const { headline, sentence } = describeLeftUploads(others);
      expect(`${headline} ${sentence}`).not.toContain("Everything");
    }
  });

  test("is refused, stays, and says why", () => {
    const { tone, sentence } = describeLeftUploads(
      left(5, 1, { isFinished: true, segments: [{ chunks: 6, state: "refused" }] }),
    );
    expect(tone).toBe("danger");
    expect(sentence).toContain("It stays on this computer until you remove it.");
    expect(describeLeftRefusal({ code: "recording-closed", message: "Gone." })).toContain(
      "deleted on the server",
    );
    expect(describeLeftRefusal({ code: "spool-failed", message: "Odd." })).not.toContain("server");
    expect(describeLeftRefusal({ code: "rejected", message: "Odd." })).toBe(
      "The server refused it: Odd.",
    );
  });

  test("is not said to be sent later when the person has removed it", () => {
    const { sentence } = describeLeftUploads(
      left(5, 6, { isFinished: true, segments: [{ chunks: 6, state: "delivered" }] }),
    );
    expect(sentence).not.toContain("the next time");
  });

  test("is saved under a name that every file system takes", () => {
    const name = { participantId: "zoë/../<a>@example.org", trackId: "camera" };
    expect(leftFileName(name, "video/x-matroska;codecs=avc1,opus")).toBe(
      "zoë_..__a_@example.org camera (unsaved part).mkv",
    );
    expect(leftFileName(name, "audio/webm;codecs=opus")).toEndWith(".webm");
    expect(leftFileName(name, "video/mp4")).toEndWith(".mp4");
    expect(leftFileName(name, "")).toEndWith(".webm");
  });
});

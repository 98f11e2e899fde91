import { describe, expect, test } from "bun:test";
import { RETRY_CAUSES } from "../../../client/recorder/retry-causes.ts";
import { describeSafety, type SessionSnapshot } from "../../../client/studio/describe-safety.ts";

const amount = (seconds: number) => ({
  chunks: Math.ceil(seconds),
  bytes: seconds * 100_000,
  durationMs: seconds * 1_000,
});

function snapshot(
  savedS: number,
  pendingS: number,
  rest: Partial<SessionSnapshot> = {},
): SessionSnapshot {
  return {
    phase: "recording",
    tracks: ["camera"],
    elapsedMs: (savedS + pendingS) * 1_000,
    recorded: amount(savedS + pendingS),
    acknowledged: amount(savedS),
    pending: amount(pendingS),
    isDurable: true,
    holdsBack: true,
    trouble: null,
    refusal: null,
    ...rest,
  };
}

describe("while recording", () => {
  test("before the first acknowledgement nothing is called saved", () => {
    for (const pending of [0, 1, 5]) {
      const { sentence, tone } = describeSafety(snapshot(0, pending));
      expect(sentence).not.toContain("Everything");
      expect(tone).toBe("working");
    }
  });

  test("with uploads that keep up all but the newest two seconds is saved", () => {
    expect(describeSafety(snapshot(9, 1))).toEqual({
      tone: "safe",
      headline: "Saving as you record",
      sentence: "Everything recorded so far is saved, up to the newest two seconds.",
    });
  });

  test("even with nothing pending the recorder holds the newest second", () => {
    expect(describeSafety(snapshot(9, 0)).sentence).toContain("up to the newest two seconds");
  });

  test("with a backlog says how much is saved and how much waits", () => {
    const { sentence, tone } = describeSafety(snapshot(9, 4));
    expect(tone).toBe("working");
    expect(sentence).toBe(
      "Saved up to 0:09. The other 4 s (400 KB) wait on this computer's disk for the connection. Keep this page open; if it closes all the same, they are sent the next time that it is opened.",
    );
    expect(describeSafety(snapshot(9, 4, { isDurable: false })).sentence).toBe(
      "Saved up to 0:09. The other 4 s (400 KB) wait in this page's memory only for the connection. Keep this page open: closing it would lose them.",
    );
  });

  test("without the server says that recording goes on and the page must stay open", () => {
    const { sentence, tone } = describeSafety(snapshot(9, 4, { trouble: "Failed to fetch" }));
    expect(tone).toBe("warning");
    expect(sentence).toStartWith("Failed to fetch. Recording goes on.");
    expect(sentence).toContain("4 s (400 KB) wait on this computer's disk");
    expect(sentence).toContain("Keep this page open");
  });

  test("asks for a sign-in in another tab, and says that recording goes on", () => {
    const { sentence, headline } = describeSafety(
      snapshot(9, 4, { trouble: "It answers 401.", troubleCause: "sign-in-needed" }),
    );
    expect(headline).toBe("Sign in again");
    expect(sentence).toContain(
      "Sign in again in another tab; nothing that was recorded is lost. Recording goes on.",
    );
    expect(sentence).toContain("wait on this computer's disk");
  });

  test("gives the recorder's reason once, as a sentence of its own", () => {
    for (const troubleCause of RETRY_CAUSES) {
      const trouble = "The server is away (it answers with status 502).";
      const { sentence } = describeSafety(snapshot(9, 4, { trouble, troubleCause }));
      expect(sentence).toStartWith(trouble);
      expect(sentence).toContain(". Recording goes on. Saved up to 0:09.");
    }
  });

  test("says when closing the page would lose what waits", () => {
    const volatile = snapshot(9, 4, { trouble: "Failed to fetch", isDurable: false });
    expect(describeSafety(volatile).sentence).toContain(
      "wait in this page's memory only and are sent as soon as it answers. Keep this page open: closing it would lose them.",
    );
  });
});

describe("paused", () => {
  test("everything is saved once the recorder has handed over the begun chunk", () => {
    const paused = snapshot(9, 0, { phase: "paused", holdsBack: false });
    expect(describeSafety(paused).sentence).toBe("Everything recorded so far is saved.");
  });

  test.each([
    ["the recorder still holds a begun chunk", snapshot(9, 0, { phase: "paused" })],
    ["the last chunk is pending", snapshot(9, 1, { phase: "paused", holdsBack: false })],
  ])("not quite everything is saved while %s", (_, paused) => {
    expect(describeSafety(paused).sentence).toContain("up to the newest two seconds");
  });
});

describe("after the stop", () => {
  test("what is on its way is not called saved", () => {
    for (const pending of [0, 1, 30]) {
      const { sentence, tone } = describeSafety(snapshot(9, pending, { phase: "sending" }));
      expect(tone).toBe("working");
      expect(sentence).toContain("Keep this page open.");
      expect(sentence).not.toContain("Everything");
    }
  });

  test("when all is acknowledged the page may be closed", () => {
    const ended = snapshot(10, 0, { phase: "ended", holdsBack: false });
    expect(describeSafety(ended)).toMatchObject({
      tone: "safe",
      sentence: "Everything recorded is saved on the server. You can close this page.",
    });
  });

  test.each(["recording", "paused", "sending", "ended"] as const)(
    "a refusal is told alone, without a word about what is saved (%s)",
    (phase) => {
      const refused = snapshot(9, 1, { phase, refusal: "It was deleted.", trouble: "Away" });
      expect(describeSafety(refused)).toMatchObject({
        tone: "danger",
        sentence: "It was deleted.",
      });
    },
  );
});

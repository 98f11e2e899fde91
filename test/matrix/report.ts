import type { CaseResult, Outcome } from "./case-result.ts";

const OUTCOMES: readonly Outcome[] = ["right", "degraded", "failed", "wrong"];

/** The outcomes as a table, by containers and by codecs, and every case that is not right. */
export function describeResults(results: readonly CaseResult[]): string {
  const lines = [
    ...table("container", results, ({ container }) => container),
    "",
    ...table("picture", results, ({ video }) => video),
    "",
    ...table("sound", results, ({ sound }) => sound),
    "",
  ];
  const exports = results.flatMap((result) => result.exports);
  if (exports.length > 0) lines.push(...exportTable(results), "");
  for (const outcome of OUTCOMES.slice(1)) {
    const own = results.filter((result) => result.outcome === outcome);
    if (own.length > 0) lines.push(`${outcome} (${own.length})`);
    lines.push(...own.toSorted((a, b) => a.name.localeCompare(b.name)).map(describeCase), "");
  }
  const failedExports = results.flatMap((result) =>
    result.exports
      .filter(({ findings }) => findings.length > 0)
      .map(({ kind, findings }) => `  ${result.name} ${kind}: ${findings.join("; ")}`),
  );
  if (failedExports.length > 0) lines.push("exports that are wrong", ...failedExports, "");
  return lines.join("\n");
}

/** Whether a run ends well: nothing is wrong, and nothing that ffmpeg decodes failed. */
export function isGood(results: readonly CaseResult[]): boolean {
  return results.every(
    ({ outcome, isDecodable, exports }) =>
      outcome !== "wrong" &&
      !(outcome === "failed" && isDecodable) &&
      exports.every(({ findings }) => findings.length === 0),
  );
}

/** Cases whose outcome or verdict differs between two runs, as with two builds of ffmpeg. */
export function describeDifferences(
  one: readonly CaseResult[],
  other: readonly CaseResult[],
): string {
  const others = new Map(other.map((result) => [result.name, result]));
  const lines = one.flatMap((result) => {
    const counterpart = others.get(result.name);
    if (counterpart === undefined) return [];
    const [a, b] = [result, counterpart].map(
      ({ outcome, verdict, reason, findings }) =>
        `${outcome} (${verdict}): ${[...findings, withoutIds(reason ?? "")].join("; ")}`,
    );
    return a === b ? [] : [result.name, `  ${a}`, `  ${b}`];
  });
  return [`${lines.length / 3} cases differ`, ...lines].join("\n");
}

function withoutIds(text: string): string {
  return text.replaceAll(/[0-9a-f]{8}-[0-9a-f-]{27}/g, "…");
}

function table(
  title: string,
  results: readonly CaseResult[],
  keyOf: (result: CaseResult) => string,
): string[] {
  const keys = [...new Set(results.map(keyOf))].toSorted();
  const row = (name: string, own: readonly CaseResult[]): string => {
    const counts = OUTCOMES.map((outcome) => own.filter((r) => r.outcome === outcome).length);
    return [name.padEnd(18), ...counts.map((count) => String(count).padStart(9))].join("");
  };
  return [
    [title.padEnd(18), ...OUTCOMES.map((outcome) => outcome.padStart(9))].join(""),
    ...keys.map((key) =>
      row(
        key,
        results.filter((result) => keyOf(result) === key),
      ),
    ),
    row("all", results),
  ];
}

function exportTable(results: readonly CaseResult[]): string[] {
  const exports = results.flatMap((result) => result.exports);
  const kinds = [...new Set(exports.map(({ kind }) => kind))];
  return [
    ["export".padEnd(18), "right".padStart(9), "wrong".padStart(9)].join(""),
    ...kinds.map((kind) => {
      const own = exports.filter((made) => made.kind === kind);
      const wrong = own.filter(({ findings }) => findings.length > 0).length;
      return [
        kind.padEnd(18),
        String(own.length - wrong).padStart(9),
        String(wrong).padStart(9),
      ].join("");
    }),
  ];
}

function describeCase(result: CaseResult): string {
  const { name, verdict, reason, findings, isDecodable, doubts, action, outcome } = result;
  const parts = [`  ${name}`, `    ${verdict}: ${withoutIds(reason ?? "no reason")}`];
  if (findings.length > 0) parts.push(`    found: ${findings.join("; ")}`);
  if (outcome === "wrong") parts.push(`    made: ${action}`);
  if (doubts.length > 0) parts.push(`    the source itself: ${doubts.join("; ")}`);
  if (!isDecodable) parts.push("    ffmpeg decodes nothing of it");
  return parts.join("\n");
}

import type { CaseResult } from "./case-result.ts";
import type { MatrixCase } from "./cases.ts";
import { runCase } from "./run-case.ts";
import { SourceMaker } from "./sources.ts";

/** How cases are run. */
export interface MatrixRun {
  /** Without a slash at the end. */
  readonly serverUrl: string;
  /** For sources and downloads; the caller's to remove. */
  readonly directory: string;
  /** Whether the MP4s stay there. */
  readonly isKept?: boolean;
  readonly hasExports: boolean;
  readonly onProgress?: (done: number, result: CaseResult) => void;
}

/** While one is judged, others are made, sent and finalized. */
const IN_FLIGHT = 8;

/** Runs all cases and gives what came of them, in their order. */
export async function runAll(
  cases: readonly MatrixCase[],
  { serverUrl, directory, hasExports, isKept = false, onProgress }: MatrixRun,
): Promise<CaseResult[]> {
  const bed = { serverUrl, directory, hasExports, isKept, maker: new SourceMaker(directory) };
  const results = new Map<MatrixCase, CaseResult>();
  const waiting = cases.values();
  const work = async (): Promise<void> => {
    for (const matrixCase of waiting) {
      const result = await runCase(matrixCase, bed);
      results.set(matrixCase, result);
      onProgress?.(results.size, result);
    }
  };
  await Promise.all(Array.from({ length: IN_FLIGHT }, work));
  return cases.flatMap((matrixCase) => results.get(matrixCase) ?? []);
}

/** One run of ffmpeg; rejects when it fails, and when it is aborted. */
export type Pass = (signal: AbortSignal) => Promise<void>;

/**
 * Carries out passes in their order, at most `atOnceMax` at the same time. The first failure ends the
 * others, too, and it alone is told. When it settles none runs any more.
 *
 * @throws what the first pass that failed threw, the signal's reason
 */
export async function runPasses(
  passes: readonly Pass[],
  atOnceMax: number,
  signal: AbortSignal,
): Promise<void> {
  const failed = new AbortController();
  const either = AbortSignal.any([signal, failed.signal]);
  const waiting = passes.values();
  const lane = async (): Promise<void> => {
    // All lanes share the one iterator.
    for (const pass of waiting) {
      try {
        either.throwIfAborted();
        await pass(either);
      } catch (error) {
        failed.abort(error);
        return;
      }
    }
  };
  await Promise.all(Array.from({ length: atOnceMax }, lane));
  either.throwIfAborted();
}

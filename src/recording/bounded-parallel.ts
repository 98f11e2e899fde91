/**
 * Runs `task` for every item, at most `parallelMax` at once, and resolves when all are done. Begins
 * no further one after a failure, and rejects with the first.
 */
export async function boundedParallel<Item>(
  items: Iterable<Item>,
  parallelMax: number,
  task: (item: Item) => Promise<void>,
): Promise<void> {
  const rest = items[Symbol.iterator]();
  let hasFailed = false;
  const lane = async (): Promise<void> => {
    for (let next = rest.next(); next.done !== true && !hasFailed; next = rest.next()) {
      try {
        await task(next.value);
      } catch (error) {
        hasFailed = true;
        throw error;
      }
    }
  };
  await Promise.all(Array.from({ length: parallelMax }, lane));
}

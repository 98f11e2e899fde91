/** Has the disk take all that earlier contenders left in memory, so that the next one is not charged. */
export async function settleDisk(): Promise<void> {
  const child = Bun.spawn(["sync"]);
  if ((await child.exited) !== 0) throw new Error("sync failed");
}

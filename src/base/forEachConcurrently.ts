/**
 * Calls `work` on each item, on `limit` of them at a time. Unlike with a promise for each item, nothing is held of those that wait and of
 * those that are done, so their number costs no memory. Where one fails, no other is begun.
 */
export async function forEachConcurrently<Item>(
  items: Iterable<Item>,
  limit: number,
  work: (item: Item) => Promise<void>,
): Promise<void> {
  const iterator = items[Symbol.iterator]();
  let failed = false;
  const run = async (): Promise<void> => {
    try {
      for (let next = iterator.next(); !failed && !next.done; next = iterator.next()) await work(next.value);
    } catch (error) {
      failed = true;
      throw error;
    }
  };
  await Promise.all(Array.from({ length: limit }, run));
}

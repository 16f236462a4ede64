/** The values of `source`, of which the next is already being made while one is in use. */
export async function* readAhead<T>(source: AsyncGenerator<T, void>): AsyncGenerator<T, void> {
  try {
    for (let next = start(source); ; ) {
      const { value, done } = await next;
      if (done) return;
      next = start(source);
      yield value;
    }
  } finally {
    await source.return();
  }
}

function start<T>(source: AsyncGenerator<T, void>): Promise<IteratorResult<T, void>> {
  const next = source.next();
  // An error is met when the value is asked for; until then it must not count as unhandled.
  next.catch(() => undefined);
  return next;
}

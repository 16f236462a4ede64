/** Runs each side in turn, `rounds` times, and returns each side's median: noise of the machine hits both alike. */
export async function medianInTurn(sides, rounds) {
  const results = sides.map(() => []);
  for (let round = 0; round < rounds; round++) {
    for (const [i, side] of sides.entries()) results[i].push(await side());
  }
  return results.map((values) => values.sort((a, b) => a - b)[Math.floor(values.length / 2)]);
}

/** CPU seconds that `work` takes in this process, all its threads together. */
export async function cpuSeconds(work) {
  const before = process.cpuUsage();
  await work();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1e6;
}

const median = (numbers) => [...numbers].sort((a, b) => a - b)[numbers.length >> 1];

/** Prints medians, ratios against our side on the same set and cores, scaling, stages and what inflating alone would take. */
export function printResults({ values, rounds, sets, sides, plan, results, missing, inflate, json }) {
  const lines = plan
    .filter(([set, name, cores]) => results.has(`${set} ${name} ${cores}`))
    .map(([set, name, cores]) => {
      const runs = results.get(`${set} ${name} ${cores}`);
      const megabytes = sets[set].bytes / 1e6;
      const [cpu, wall] = ["cpu", "wall"].map((key) => median(runs.map((run) => run[key])));
      const { what, side } = sides[name];
      const [low, high] = [Math.max, Math.min].map((end) => megabytes / end(...runs.map((run) => run.cpu)));
      return { what, side, name, set, cores, cpu, wall, low, high, megabytes, tokens: runs[0].tokens };
    });
  const ours = ({ what, set, cores }) =>
    lines.find(
      (one) => one.name === (what === "encoder" ? "mswitch" : "preprocess") && one.set === set && one.cores === cores,
    );
  const rows = lines.map((line) => {
    const base = ours(line);
    return {
      ...line,
      mbPerCpuSecond: line.megabytes / line.cpu,
      mbPerSecond: line.megabytes / line.wall,
      // By CPU time on one core, which other work on the machine does not change; by the clock on two.
      oursIsFaster: base && base !== line ? (line.cores === 1 ? line.cpu / base.cpu : line.wall / base.wall) : null,
      sameTokens: base ? line.tokens === base.tokens : null,
    };
  });
  const wallOf = (name, cores) =>
    rows.find((one) => one.name === name && one.set === "all" && one.cores === cores)?.wall;
  const scaling = Object.fromEntries(
    ["mswitch", "preprocess"].map((name) => [sides[name].side, wallOf(name, 1) / wallOf(name, 2)]),
  );
  const inflateSpeed = (side) => inflate[0].bytes / 1e6 / median(inflate.map((round) => round[side]));
  const inflating = { jsonMbPerCpuSecond: { ours: inflateSpeed("ours"), zlib: inflateSpeed("zlib") } };
  const seconds = results.get("all preprocess 1")?.[0].cost?.seconds;
  const sum = seconds && Object.values(seconds).reduce((a, b) => a + b, 0);
  const stages = seconds && Object.fromEntries(Object.entries(seconds).map(([stage, part]) => [stage, part / sum]));
  if (json) {
    const described = Object.fromEntries(
      Object.values(sets).map(({ name, shards, documents, bytes, every }) => [
        name,
        { shards, documents, bytes, every },
      ]),
    );
    const missingSides = Object.fromEntries(Object.entries(missing).map(([name, why]) => [sides[name].side, why]));
    console.log(
      JSON.stringify(
        {
          vocab: values.vocab,
          rounds,
          sets: described,
          rows,
          scaling,
          stages,
          inflating,
          missing: missingSides,
        },
        null,
        1,
      ),
    );
    return;
  }
  for (const { name, shards, documents, bytes, every } of Object.values(sets)) {
    const which = { all: "all shards", sample: `every ${every}th shard`, smallest: "the smallest shard alone" }[name];
    console.log(`${name}: ${which}, ${shards}, with ${documents} documents and ${(bytes / 1e6).toFixed(2)} MB of text`);
  }
  console.log(
    `medians of ${rounds} rounds, all sides in turn; MB of text; times: ours against it (CPU on one core, clock on two)\n`,
  );
  console.log(
    `${"".padEnd(20)} ${"set".padEnd(7)}${"cores".padEnd(7)}${"MB/CPU s".padStart(9)} ${"(range)".padStart(17)}${"MB/s".padStart(8)}${"times".padStart(8)}  tokens`,
  );
  for (const one of rows.filter(({ set }) => set !== "smallest")) {
    const range = `(${one.low.toFixed(1)} to ${one.high.toFixed(1)})`;
    const ratio = one.oursIsFaster === null ? "" : one.oursIsFaster.toFixed(2);
    const tokens = `${one.tokens}${one.sameTokens ? "" : " (not ours)"}`;
    console.log(
      `${one.side.padEnd(20)} ${one.set.padEnd(7)}${String(one.cores).padEnd(7)}${one.mbPerCpuSecond.toFixed(1).padStart(9)} ${range.padStart(17)}${one.mbPerSecond.toFixed(1).padStart(8)}${ratio.padStart(8)}  ${tokens}`,
    );
  }
  for (const [name, why] of Object.entries(missing)) console.log(`${sides[name].side.padEnd(20)} not measured: ${why}`);
  console.log("");
  for (const [side, factor] of Object.entries(scaling))
    console.log(`${side}: ${factor.toFixed(2)} times as fast on two cores as on one`);
  for (const { side, cpu, wall } of rows.filter(({ set }) => set === "smallest")) {
    console.log(`${side}: ${cpu.toFixed(2)} CPU s, ${wall.toFixed(2)} s with hardly any work (start, loading, end)`);
  }
  if (stages) {
    const shares = Object.entries(stages).map(([stage, share]) => `${stage} ${(100 * share).toFixed(0)} %`);
    console.log(`stages of mswitch preprocess, one worker: ${shares.join(", ")}`);
  }
  const { ours: inflated, zlib } = inflating.jsonMbPerCpuSecond;
  console.log(
    `inflating alone: ${inflated.toFixed(0)} MB of JSON a CPU second, zlib's stream ${zlib.toFixed(0)} (${(inflated / zlib).toFixed(2)} times)`,
  );
}

import { parse } from "yaml";
import type { Side } from "../../analysis/sides.js";
import type { Run } from "../../run/readRun.js";

/** Keys of a run's file that say where and how it was computed, not what was learned. */
const incidental = new Set([
  ...["name", "dataset", "run", "seed", "backend", "logEvery", "recordSteps", "checkpoints", "evaluation.every"],
  "model.preset",
]);

/** A run's `config.yaml` as `dotted.key → value`, without the keys that do not decide what is learned; empty where it has none. */
function learnedConfig({ config }: Run): Map<string, string> {
  let tree: unknown;
  try {
    tree = parse(config);
  } catch {
    return new Map();
  }
  if (typeof tree !== "object" || tree === null) return new Map();
  return new Map(flatten(tree, "").filter(([key]) => ![...incidental].some((skip) => isUnder(key, skip))));
}

const isUnder = (key: string, prefix: string): boolean => key === prefix || key.startsWith(`${prefix}.`);

function flatten(value: unknown, prefix: string): [string, string][] {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return [[prefix, JSON.stringify(value)]];
  return Object.entries(value).flatMap(([key, inner]) => flatten(inner, prefix === "" ? key : `${prefix}.${key}`));
}

/**
 * Runs that differ in their seed only, together as one side each, in order of their first run and by seed. A run without a
 * `config.yaml` is a side of its own.
 */
export function groupSeeds(runs: readonly Run[]): Side[] {
  const groups = new Map<string, Run[]>();
  for (const run of runs) {
    const config = [...learnedConfig(run)].sort(([a], [b]) => (a < b ? -1 : 1));
    const key = config.length > 0 ? JSON.stringify(config) : run.dir;
    const group = groups.get(key);
    if (!group) groups.set(key, [run]);
    // The same seed again is another try of the same run, not another seed.
    else if (group.some(({ description }) => description.seed === run.description.seed)) groups.set(run.dir, [run]);
    else group.push(run);
  }
  return [...groups.values()].map((group) => group.sort((a, b) => a.description.seed - b.description.seed));
}

/** Keys by which two sides' files differ besides the experts: `optimizer.learningRate.base (0.5, 1)`. */
export function configDifferences(baseline: Side, candidate: Side): string[] {
  const [mine, theirs] = [learnedConfig(baseline[0]), learnedConfig(candidate[0])];
  if (mine.size === 0 || theirs.size === 0) return [];
  return [...new Set([...mine.keys(), ...theirs.keys()])]
    .filter((key) => !isUnder(key, "model.switch") && mine.get(key) !== theirs.get(key))
    .map((key) => `${key} (${mine.get(key) ?? "not set"}, ${theirs.get(key) ?? "not set"})`);
}

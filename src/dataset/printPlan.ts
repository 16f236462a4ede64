import { formatSeconds } from "../base/progress.js";
import type { PlannedTask, PreprocessPlan } from "./planPreprocess.js";

/** Tasks shown one by one; of more, the longest and the shortest. */
const maxTasks = 8;

/** A plan as lines for a reader. */
export function printPlan(plan: PreprocessPlan): string {
  const { nodes, workers, shards, measured, tasks } = plan;
  const sizes =
    measured === shards
      ? "all of known size"
      : measured === 0
        ? "no size could be had; taken from what was published of mC4, and as nothing elsewhere"
        : `${measured.toLocaleString("en-US")} of known size, the rest taken for their language's mean`;
  const rows: [string, string][] = [
    ["shards", `${shards.toLocaleString("en-US")} (${sizes})`],
    ["to read", `${formatBytes(plan.bytes)} compressed, about ${formatBytes(plan.textBytes)} of JSON`],
  ];
  if (plan.remoteBytes > 0) rows.push(["to download", formatBytes(plan.remoteBytes)]);
  rows.push(
    ["cluster", `${count(nodes, "node")} with ${count(workers, "worker")} each, ${plan.speed} MB/s of JSON a worker`],
    ["time", `about ${formatSeconds(plan.seconds)} (${formatSeconds(plan.workerSeconds)} of one worker)`],
    [
      "needs",
      `${plan.inputSpeedPerNode.toFixed(0)} MB/s of compressed input to each node; a slower source takes longer`,
    ],
    [
      "output",
      `about ${formatBytes(plan.outputBytes)} for ${formatCount(plan.tokens)} tokens; more with a smaller vocabulary than mT5's`,
    ],
  );
  if (plan.cacheBytesPerNode > 0) {
    rows.push(["cache", `up to ${formatBytes(plan.cacheBytesPerNode)} on each node`]);
  }
  const lines = rows.map(([name, value]) => `${name.padEnd(12)}${value}`);
  const shown = tasks.length <= maxTasks ? tasks : extremes(tasks);
  lines.push("", `${"task".padEnd(12)}${"shards".padStart(10)}${"to read".padStart(12)}  time`);
  for (const { task, shards: mine, bytes, seconds } of shown) {
    const cells = [mine.toLocaleString("en-US").padStart(10), formatBytes(bytes).padStart(12)];
    lines.push(`${task.padEnd(12)}${cells.join("")}  ${formatSeconds(seconds)}`);
  }
  if (shown.length < tasks.length) lines.push(`the longest and the shortest of ${tasks.length} tasks; all with --json`);
  if (tasks.some((task) => task.shards < workers)) {
    lines.push("", "some workers would have no shard: fewer nodes or workers do as well");
  }
  return lines.join("\n");
}

function extremes(tasks: PlannedTask[]): PlannedTask[] {
  const sorted = [...tasks].sort((a, b) => b.seconds - a.seconds);
  return [sorted[0], sorted[sorted.length - 1]];
}

function count(number: number, noun: string): string {
  return `${number.toLocaleString("en-US")} ${noun}${number === 1 ? "" : "s"}`;
}

/** `512 kB`, `1.4 GB`, `27.0 TB`. */
export function formatBytes(bytes: number): string {
  const units = ["B", "kB", "MB", "GB", "TB", "PB"];
  const power = Math.min(units.length - 1, Math.max(0, Math.floor(Math.log10(Math.max(bytes, 1)) / 3)));
  const value = bytes / 1000 ** power;
  return `${value.toFixed(value < 100 && power > 1 ? 1 : 0)} ${units[power]}`;
}

function formatCount(number: number): string {
  const [scale, word] =
    number >= 1e12
      ? [1e12, " trillion"]
      : number >= 1e9
        ? [1e9, " billion"]
        : number >= 1e6
          ? [1e6, " million"]
          : [1, ""];
  return `${(number / scale).toFixed(scale === 1 ? 0 : 1)}${word}`;
}

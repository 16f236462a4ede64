import { count, formatBytes, formatDuration, plural } from "../../base/format.js";
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
    ["cluster", `${plural(nodes, "node")} with ${plural(workers, "worker")} each, ${plan.speed} MB/s of JSON a worker`],
    ["time", `about ${formatDuration(plan.seconds)} (${formatDuration(plan.workerSeconds)} of one worker)`],
    [
      "needs",
      `${plan.inputSpeedPerNode.toFixed(0)} MB/s of compressed input to each node; a slower source takes longer`,
    ],
    [
      "output",
      `about ${formatBytes(plan.outputBytes)} for ${count(plan.tokens)} tokens; more with a smaller vocabulary than mT5's`,
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
    lines.push(`${task.padEnd(12)}${cells.join("")}  ${formatDuration(seconds)}`);
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

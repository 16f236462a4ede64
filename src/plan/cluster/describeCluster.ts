import { count, figures, formatBytes, formatDuration, formatFlops, percent, plural } from "../../base/format.js";
import { meshSize, meshText } from "../../distributed/mesh.js";
import type { ClusterPlan } from "./planCluster.js";

/** A plan as lines for a reader. */
export function describeCluster(plan: ClusterPlan): string[] {
  const { mesh, hardware, parameters, memory, traffic, seconds } = plan;
  const row = (name: string, value: string): string => `  ${name.padEnd(46)}${value}`;
  const limit = hardware.memoryGiB * 2 ** 30;
  const kinds = Object.entries(memory).filter(([kind, bytes]) => kind !== "total" && bytes > 0);
  return [
    `${meshSize(mesh).toLocaleString("en-US")} × ${hardware.name} (${plural(plan.nodes, "node")}), mesh ${meshText(mesh)}`,
    row(
      "parameters",
      `${count(parameters.total)}, ${count(parameters.activePerToken)} active a token besides embeddings`,
    ),
    row("a step", `${count(plan.tokensPerStep)} positions, ${formatFlops(plan.flopsPerStep)}`),
    "",
    `memory of a rank: ${formatBytes(memory.total)} of ${formatBytes(limit)}${plan.fits ? "" : ": it does not fit"}`,
    ...kinds.map(([kind, bytes]) => row(kind, `${formatBytes(bytes).padStart(9)}  ${percent(bytes / memory.total)}`)),
    "",
    "collectives of a step, of a rank:",
    ...(traffic.length === 0 ? [row("none", "")] : []),
    ...traffic.map(({ what, kind, ranks, times, sentBytes, seconds: took, overlaps }) =>
      row(
        what,
        `${kind} of ${ranks}, ${times} × ${formatBytes(sentBytes)}, ${figures(1000 * took)} ms${overlaps ? " beside the backward pass" : ""}`,
      ),
    ),
    "",
    `time of a step: ${figures(1000 * seconds.step)} ms`,
    ...(plan.measured
      ? [row("a rank without its peers, timed here", `${figures(1000 * seconds.compute)} ms`)]
      : [
          row("products", `${figures(1000 * seconds.compute)} ms at ${percent(hardware.efficiency)} of the peak`),
          row("optimizer", `${figures(1000 * seconds.update)} ms`),
        ]),
    row(
      "collectives that nothing hides",
      `${figures(1000 * seconds.exposed)} ms (${figures(1000 * seconds.hidden)} ms hidden)`,
    ),
    row("rate", `${count(plan.tokensPerSecond)} positions a second, ${count(plan.tokensPerSecond * 86_400)} a day`),
    row("to the end", formatDuration(plan.days * 86_400)),
  ];
}

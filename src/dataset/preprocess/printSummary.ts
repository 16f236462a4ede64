import type { LanguageSummary, PreprocessSummary } from "./preprocessSummary.js";

/** What a run has done as lines for a reader. */
export function printSummary(summary: PreprocessSummary): string {
  const { out, complete, languages, total, tokenized, skipped, rejected, quarantine, failures, cost } = summary;
  const lines: string[] = [];
  const rows: [string, LanguageSummary][] = [...Object.entries(languages), ["total", total]];
  lines.push(formatRow(["language", "shards", "documents", "tokens", "bytes", "tokens/byte", "set aside"]));
  for (const [name, sum] of rows) {
    const density = sum.bytes > 0 ? (sum.tokens / sum.bytes).toFixed(4) : "-";
    lines.push(formatRow([name, sum.shards, sum.documents, sum.tokens, sum.bytes, density, sum.rejected]));
  }
  lines.push("");
  if (total.rejected > 0) {
    const causes = Object.entries(rejected).map(([cause, count]) => `${cause} ${count}`);
    const place = quarantine ? `listed in ${quarantine}` : "listed in quarantine.jsonl when the last task is done";
    lines.push(`${total.rejected} set aside (${causes.join(", ")}), ${place}`);
  }
  if (tokenized > 0) lines.push(costLine(cost));
  for (const { file, why } of failures) lines.push(`left out: ${file}: ${why}`);
  if (failures.length > 0) lines.push("run the same command again to try the shards that were left out");
  const state = complete ? "dataset.json is written" : "dataset.json is written when the last task is done";
  lines.push(`${out}: ${tokenized} shards tokenized, ${skipped} were done already; ${state}`);
  return lines.join("\n");
}

/** What the workers' time went to. */
function costLine({ seconds, inflatedBytes }: PreprocessSummary["cost"]): string {
  const all = Object.values(seconds).reduce((sum, one) => sum + one, 0);
  const shares = Object.entries(seconds).map(([stage, spent]) => `${stage} ${((100 * spent) / all).toFixed(0)} %`);
  const rate = (inflatedBytes / 1e6 / all).toFixed(1);
  return `${rate} MB of JSON a second and worker; its time: ${shares.join(", ")}`;
}

const columnWidths = [10, 7, 12, 16, 17, 12, 10];

function formatRow(cells: (string | number)[]): string {
  return cells
    .map((cell, i) => {
      const text = typeof cell === "number" ? cell.toLocaleString("en-US") : cell;
      return i === 0 ? text.padEnd(columnWidths[i]) : text.padStart(columnWidths[i]);
    })
    .join("");
}

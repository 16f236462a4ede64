/**
 * Lines of a table: columns as wide as their widest cell, the first one to the left, the others to the right. Where that is wider than the
 * terminal, the columns that have no room follow below, each part with the first column.
 *
 * @param columns of the terminal; undefined elsewhere
 */
export function tableLines(
  rows: readonly (readonly string[])[],
  columns: number | undefined = process.stdout.isTTY ? process.stdout.columns : undefined,
): string[] {
  const widths = rows[0].map((_, i) => Math.max(...rows.map((row) => row[i].length)));
  const part = (from: number, to: number): string[] =>
    rows.map((row) =>
      row
        .map((cell, i) => (i === 0 ? cell.padEnd(widths[i]) : cell.padStart(widths[i])))
        .filter((_, i) => i === 0 || (i >= from && i < to))
        .join("  ")
        .trimEnd(),
    );
  const lines: string[] = [];
  for (let from = 1; from === 1 || from < widths.length; ) {
    let to = Math.min(from + 1, widths.length);
    const width = (end: number): number => widths[0] + widths.slice(from, end).reduce((sum, one) => sum + one + 2, 0);
    while (to < widths.length && (columns === undefined || width(to + 1) <= columns)) to++;
    if (from > 1) lines.push("");
    lines.push(...part(from, to));
    from = Math.max(to, from + 1);
  }
  return lines;
}

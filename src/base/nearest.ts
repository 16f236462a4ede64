import { existsSync, readdirSync } from "node:fs";
import { basename, dirname, join } from "node:path";

/** Damerau-free edit distance (insert, delete, replace), O(|a|·|b|). */
function editDistance(a: string, b: string): number {
  let previous = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const replace = previous[j - 1] + (a[i - 1] === b[j - 1] ? 0 : 1);
      row.push(Math.min(replace, previous[j] + 1, row[j - 1] + 1));
    }
    previous = row;
  }
  return previous[b.length];
}

/** The known word nearest to `word`, or undefined where none is within `most` edits, by default half of its letters. */
export function nearest(
  word: string,
  known: Iterable<string>,
  most = Math.max(2, Math.ceil(word.length / 2)),
): string | undefined {
  let best: string | undefined;
  let bestDistance = most + 1;
  for (const candidate of known) {
    const distance = editDistance(word.toLowerCase(), candidate.toLowerCase());
    if (distance < bestDistance) {
      best = candidate;
      bestDistance = distance;
    }
  }
  return best;
}

/** For a path that does not exist: the entry of the last folder that does whose name is within two edits of what is missing. */
export function nearestPath(path: string): string | undefined {
  let missing = path;
  while (!existsSync(dirname(missing))) missing = dirname(missing);
  if (existsSync(missing)) return undefined;
  const name = basename(missing);
  try {
    const found = nearest(name, readdirSync(dirname(missing)), name.length < 5 ? 1 : 2);
    return found && join(dirname(missing), found);
  } catch {
    return undefined;
  }
}

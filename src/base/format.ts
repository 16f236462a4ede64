const minus = "\u2212";

/** Three significant figures, no exponent, a true minus sign: `4.95`, `−3.42`, `0.00345`, `1,230`. */
export function figures(value: number, digits = 3): string {
  if (!Number.isFinite(value)) return "–";
  if (value === 0) return "0";
  const magnitude = Math.floor(Math.log10(Math.abs(Number(value.toPrecision(digits)))));
  const rounded = Number(value.toPrecision(digits));
  const decimals = Math.max(0, digits - 1 - magnitude);
  const text = Math.abs(rounded).toLocaleString("en-US", {
    minimumFractionDigits: Math.min(decimals, 12),
    maximumFractionDigits: Math.min(decimals, 12),
  });
  return value < 0 ? minus + text : text;
}

/** With a sign: `+0.204`. */
export function signed(value: number): string {
  return value > 0 ? `+${figures(value)}` : figures(value);
}

/** Two decimals, a true minus sign and none before zero: `0.05`, `−0.12`, `0.00`; `–` where unknown. */
export function hundredths(value: number | null): string {
  if (value === null || !Number.isFinite(value)) return "–";
  const text = Math.abs(value).toFixed(2);
  return value < 0 && Number(text) !== 0 ? minus + text : text;
}

/** `91 %`, `90.7 %` would claim more than a hundred languages can tell. */
export function percent(share: number): string {
  return `${(100 * share).toFixed(0)}\u202f%`;
}

/** `12.3k`, `1.20M`, `3.40B`. */
export function count(value: number): string {
  return scaled(value, ["", "k", "M", "B", "T"]);
}

/** For an axis: `5k`, `12.5k`, no zeros at the end. */
export function tick(value: number): string {
  return count(value)
    .replace(/(\.\d*?)0+(?=\D|$)/, "$1")
    .replace(/\.(?=\D|$)/, "");
}

/** `1.23 GFLOP`. */
export function formatFlops(value: number): string {
  return `${scaled(value, [" ", " k", " M", " G", " T", " P", " E", " Z", " Y"])}FLOP`;
}

function scaled(value: number, units: string[]): string {
  let unit = 0;
  let rest = value;
  while (Number(Math.abs(rest).toPrecision(3)) >= 1000 && unit < units.length - 1) {
    rest /= 1000;
    unit++;
  }
  return `${Number.isInteger(rest) && unit === 0 ? String(rest) : figures(rest)}${units[unit]}`;
}

/** `12.3 kB`, `1.50 GB`: powers of 1000. */
export function formatBytes(value: number): string {
  return `${scaled(value, [" ", " k", " M", " G", " T", " P", " E"])}B`;
}

/** `3m12s`, `5h07m`, `2d03h`; `?` where it is not known. */
export function formatDuration(seconds: number): string {
  if (!Number.isFinite(seconds)) return "?";
  const s = Math.round(seconds);
  const two = (value: number): string => String(value).padStart(2, "0");
  if (s < 60) return `${s}s`;
  if (s < 3600) return `${Math.floor(s / 60)}m${two(s % 60)}s`;
  if (s < 86_400) return `${Math.floor(s / 3600)}h${two(Math.floor((s % 3600) / 60))}m`;
  return `${Math.floor(s / 86_400)}d${two(Math.floor((s % 86_400) / 3600))}h`;
}

/** A speed-up: `4.95×`. */
export function times(value: number, digits = 3): string {
  return `${figures(value, digits)}×`;
}

/** `101 languages`, `1 language`. */
export function plural(amount: number, noun: string): string {
  return `${amount.toLocaleString("en-US")} ${noun}${amount === 1 ? "" : "s"}`;
}

const unitSeconds = { s: 1, m: 60, h: 3600, d: 86_400 };

/** Seconds of a time as `formatDuration` writes it, or as one would: `90s`, `1h30m`, `2d`; undefined where it is none. */
export function parseDuration(text: string): number | undefined {
  if (!/^(\d+(\.\d+)?[smhd])+$/.test(text)) return undefined;
  const parts = [...text.matchAll(/([\d.]+)([smhd])/g)];
  return parts.reduce((sum, [, value, unit]) => sum + Number(value) * unitSeconds[unit as keyof typeof unitSeconds], 0);
}

/** Lines of at most `width` columns, broken between words: the first after `indent`, the others after `hanging` (as `indent` where left out). */
export function wrapText(text: string, width: number, indent = "", hanging = indent): string[] {
  const lines: string[] = [];
  let line = indent;
  for (const word of text.split(/\s+/)) {
    const isEmpty = line === (lines.length === 0 ? indent : hanging);
    if (!isEmpty && line.length + 1 + word.length > width) {
      lines.push(line);
      line = hanging + word;
    } else line += isEmpty ? word : ` ${word}`;
  }
  return [...lines, line];
}

/**
 * A message as a stream shows it: on a terminal, lines that are too long for it are broken between words, what follows two further in,
 * or below the last column where they have columns (two spaces inside) and that one has half of the width. Elsewhere as it is.
 */
export function fitToTerminal(message: string, { isTTY, columns }: { isTTY?: boolean; columns?: number }): string {
  if (!isTTY || !columns) return message;
  const fit = (line: string): string => {
    if (line.length <= columns) return line;
    const head = /^.*\S {2,}(?=\S)/.exec(line)?.[0] ?? /^ */.exec(line)![0];
    const isTable = head.trim() !== "";
    if (isTable && head.length > columns / 2) return line;
    const hanging = " ".repeat(head.length + (isTable ? 0 : 2));
    return wrapText(line.slice(head.length), columns, head, hanging).join("\n");
  };
  return message.split("\n").map(fit).join("\n");
}

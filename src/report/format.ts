import type { Estimate } from "../eval/bootstrap.js";
import type { Speedup } from "../eval/speedup.js";

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
export function flops(value: number): string {
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

/** `42.0 s`, `3.20 min`, `1.50 h`, `2.10 d`. */
export function duration(seconds: number): string {
  if (seconds < 60) return `${figures(seconds)} s`;
  if (seconds < 3600) return `${figures(seconds / 60)} min`;
  if (seconds < 86_400) return `${figures(seconds / 3600)} h`;
  return `${figures(seconds / 86_400)} d`;
}

/** A speed-up: `4.95×`. */
export function times(value: number, digits = 3): string {
  return `${figures(value, digits)}×`;
}

/** The ends of an interval: `4.81–5.10`, `−0.05 to 0.02`; empty where there is none. */
export function interval({ interval: ends }: Estimate, show: (value: number) => string = figures): string {
  return ends ? ends.map((end) => show(end)).join(ends[0] < 0 ? " to " : "–") : "";
}

const boundSigns: Record<Speedup["match"]["bound"], string> = { none: "", atLeast: "≥\u202f", atMost: "≤\u202f" };

/** The ends of an interval of shares: `88–93 %`. */
export function percentInterval(estimate: Estimate): string {
  const ends = interval(estimate, (share) => (100 * share).toFixed(0));
  return ends && `${ends}\u202f%`;
}

/** A language's speed-up with the marks that qualify it: `≥ 10.0×`, `0.620×†` where the question was asked the other way round. */
export function markedTimes(value: number, { bound, of }: Speedup["match"]): string {
  return `${boundSigns[bound]}${times(value)}${of === "candidate" ? "†" : ""}`;
}

/** `101 languages`, `1 language`. */
export function plural(amount: number, noun: string): string {
  return `${amount.toLocaleString("en-US")} ${noun}${amount === 1 ? "" : "s"}`;
}

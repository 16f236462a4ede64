import type { Estimate } from "../analysis/bootstrap.js";
import type { Speedup } from "../analysis/speedup.js";
import { figures, times } from "../base/format.js";

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

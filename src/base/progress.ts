import { MultiBar, type SingleBar } from "cli-progress";
import { formatDuration } from "./format.js";
import { type Log, shownOn, stderrLog } from "./log.js";

/** A piece of the work that gets a bar of its own: a language, a training run. */
export interface ProgressPart {
  name: string;
  /** Amount of work in the unit that `advance` counts: bytes, steps. */
  total: number;
}

/** A speed shown beside the bar: `{ label: "MB/s", scale: 1e-6 }` for an amount given in bytes. */
export interface ProgressRate {
  label: string;
  scale: number;
}

export interface Progress {
  /**
   * Notes work done.
   *
   * @param part the part's name
   * @param done how much of its total
   * @param amounts what was done in the unit of each rate, in their order
   */
  advance(part: string, done: number, amounts: number[]): void;
  /** Lines for the user that do not tear the bars. */
  log: Log;
  /** Draws the last state and gives the terminal back. Must be called. */
  stop(): void;
}

export interface ProgressOptions {
  parts: ProgressPart[];
  rates: ProgressRate[];
  /** Where to draw: bars where it is a terminal, lines elsewhere. Default stderr. */
  stream?: NodeJS.WriteStream;
  /** Seconds between lines where there is no terminal. Default 5. */
  lineSeconds?: number;
  /** Milliseconds, for tests. */
  now?: () => number;
}

/** Rates and time left are taken over about this many seconds, so that they follow a change of pace without jumping. */
const smoothingSeconds = 15;
const barWidth = 24;

interface State {
  total: number;
  done: number;
  amounts: number[];
  /** Moving averages a second: of `done`, then of each amount. */
  speeds: number[];
  /** Totals at the last measurement, same order. */
  seen: number[];
  measured: number;
  started: number;
}

/**
 * Progress of long work on stderr. On a terminal: a bar for each part in hand (a part without news for a while or done makes
 * room) and one for the whole. Elsewhere: a line of the whole every few seconds. One part alone is its own whole.
 */
export function createProgress(options: ProgressOptions): Progress {
  const { parts, rates, stream = process.stderr, lineSeconds = 5, now = Date.now } = options;
  const newState = (total: number): State => {
    const zeros = new Array<number>(rates.length + 1).fill(0);
    return {
      total,
      done: 0,
      amounts: zeros.slice(1),
      speeds: [...zeros],
      seen: zeros,
      measured: now(),
      started: now(),
    };
  };
  const width = Math.max(5, ...parts.map((part) => part.name.length));
  const whole = newState(parts.reduce((sum, part) => sum + part.total, 0));
  const states = new Map(parts.map((part) => [part.name, newState(part.total)]));
  const wholeName = parts.length === 1 ? parts[0].name : "total";
  const describe = (name: string, state: State): string => {
    measure(state, now());
    return `${name.padEnd(width)} ${describeState(state, rates, (now() - state.started) / 1000)}`;
  };
  const add = (state: State, done: number, amounts: number[]): void => {
    state.done += done;
    for (const [i, amount] of amounts.entries()) state.amounts[i] += amount;
  };

  if (!stream.isTTY) {
    let last = now();
    const line = (): void => void stream.write(`${describe(wholeName, whole)}\n`);
    return {
      advance(_part, done, amounts) {
        add(whole, done, amounts);
        if (now() - last < lineSeconds * 1000) return;
        last = now();
        line();
      },
      log: stderrLog,
      stop: line,
    };
  }

  const multi = new MultiBar({
    stream,
    hideCursor: true,
    linewrap: false,
    clearOnComplete: true,
    gracefulExit: false,
    fps: 5,
    forceRedraw: true,
    format: (_options, _params, { name, state }: { name: string; state: State }) =>
      `${drawBar(state)} ${describe(name, state)}`,
  });
  const bars = new Map<string, SingleBar>();
  let totalBar = multi.create(1, 0, { name: wholeName, state: whole });
  return {
    advance(part, done, amounts) {
      add(whole, done, amounts);
      const state = states.get(part);
      if (parts.length === 1 || state === undefined) return;
      if (!bars.has(part)) {
        // The whole stays below: bars can only be added at the end.
        multi.remove(totalBar);
        state.started = state.measured = now();
        bars.set(part, multi.create(1, 0, { name: part, state }));
        totalBar = multi.create(1, 0, { name: wholeName, state: whole });
      }
      add(state, done, amounts);
      if (fraction(state) === 1) {
        multi.remove(bars.get(part)!);
        bars.delete(part);
      }
    },
    log: {
      info: (message, brief) => multi.log(`${shownOn(stream, message, brief)}\n`),
      warn: (message) => multi.log(`${shownOn(stream, `warning: ${message}`)}\n`),
    },
    stop() {
      multi.update();
      multi.stop();
      stream.write(`${describe(wholeName, whole)}\n`);
    },
  };
}

function measure(state: State, time: number): void {
  const seconds = (time - state.measured) / 1000;
  if (seconds < 0.5) return;
  const totals = [state.done, ...state.amounts];
  const elapsed = (time - state.started) / 1000;
  // An average over the time there has been, until there has been enough.
  const weight = Math.max(1 - Math.exp(-seconds / smoothingSeconds), seconds / Math.max(seconds, elapsed));
  for (const [i, total] of totals.entries()) {
    state.speeds[i] += weight * ((total - state.seen[i]) / seconds - state.speeds[i]);
  }
  state.seen = totals;
  state.measured = time;
}

function describeState(state: State, rates: ProgressRate[], elapsed: number): string {
  const percent = `${Math.floor(fraction(state) * 100)}%`.padStart(4);
  const finished = fraction(state) === 1;
  if (!finished && state.speeds[0] === 0) return `${percent}  starting`;
  const speeds = rates.map(({ label, scale }, i) => {
    const speed = finished ? state.amounts[i] / Math.max(elapsed, 1e-3) : state.speeds[i + 1];
    return `${formatRate(speed * scale)} ${label}`;
  });
  const left = formatDuration((state.total - state.done) / state.speeds[0]);
  return [percent, ...speeds, finished ? `in ${formatDuration(elapsed)}` : `${left} left`].join("  ");
}

function drawBar(state: State): string {
  const filled = Math.floor(fraction(state) * barWidth);
  return `[${"=".repeat(filled)}${"-".repeat(barWidth - filled)}]`;
}

function fraction({ done, total }: State): number {
  // Work done may be a sum of estimates, and a little off.
  return done >= total * (1 - 1e-9) ? 1 : done / total;
}

function formatRate(value: number): string {
  return value.toFixed(value < 10 ? 2 : value < 100 ? 1 : 0).padStart(5);
}

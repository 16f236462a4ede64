/** What a shard's time goes to, in the order of the data. */
export const stages = ["read", "inflate", "extract", "encode", "write"] as const;
export type Stage = (typeof stages)[number];

/** Seconds by stage. */
export type StageSeconds = Record<Stage, number>;

export function noSeconds(): StageSeconds {
  return { read: 0, inflate: 0, extract: 0, encode: 0, write: 0 };
}

/** Shares one thread's time out among the stages of the work: all since the last lap counts for the stage named at the next. */
export class StageClock {
  readonly seconds = noSeconds();
  private last = performance.now();

  /** Called once a block of data, never once a line: reading the clock has its price. */
  lap(stage: Stage): void {
    const now = performance.now();
    this.seconds[stage] += (now - this.last) / 1000;
    this.last = now;
  }
}

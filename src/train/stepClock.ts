/** Times of a stretch of training between two lines of the log. */
export interface Stretch {
  steps: number;
  /** Evaluation and checkpoints not counted. */
  seconds: number;
  /** Share of the seconds spent waiting for a batch. */
  dataWait: number;
}

/** Counts training time, leaving out whatever runs between `pause` and the next step. */
export interface StepClock {
  /** Training seconds since the start of the run, over all its processes; undefined where those before are not known. */
  readonly trainSeconds: number | undefined;
  /** Begins a step. */
  begin(): void;
  /** Waits for the step's data. */
  waiting<T>(data: Promise<T>): Promise<T>;
  /** Ends a step. */
  end(): void;
  /** What was since the last call. */
  stretch(): Stretch;
}

/** @param before training seconds of the processes before; @param now milliseconds, for tests */
export function createStepClock(before: number | undefined, now: () => number = () => performance.now()): StepClock {
  let total = before;
  let begun = 0;
  let current = { steps: 0, seconds: 0, waited: 0 };
  return {
    get trainSeconds() {
      return total;
    },
    begin() {
      begun = now();
    },
    async waiting(data) {
      const since = now();
      try {
        return await data;
      } finally {
        current.waited += (now() - since) / 1000;
      }
    },
    end() {
      const seconds = (now() - begun) / 1000;
      if (total !== undefined) total += seconds;
      current.seconds += seconds;
      current.steps++;
    },
    stretch() {
      const { steps, seconds, waited } = current;
      current = { steps: 0, seconds: 0, waited: 0 };
      return { steps, seconds, dataWait: seconds > 0 ? waited / seconds : 0 };
    },
  };
}

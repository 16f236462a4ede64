import type { World } from "../distributed/world.js";
import type { TrainStep } from "./step.js";

/** What a rank gives to collectives in a step, by kind and by how many take part. */
export interface StepTraffic {
  kind: string;
  ranks: number;
  bytes: number;
}

/** The train step, which tells after its first time what this rank gave to collectives in it. */
export function countingTraffic(trainStep: TrainStep, world: World, tell: (traffic: StepTraffic[]) => void): TrainStep {
  let isCounted = world.size === 1;
  return async (batch, place) => {
    if (isCounted) return trainStep(batch, place);
    isCounted = true;
    const before = world.traffic();
    const outcome = await trainStep(batch, place);
    const sums = new Map<string, StepTraffic>();
    for (const { kind, group, ranks, bytes } of world.traffic()) {
      const given = bytes - (before.find((one) => one.kind === kind && one.group === group)?.bytes ?? 0);
      const key = `${kind} ${ranks}`;
      if (given > 0) sums.set(key, { kind, ranks, bytes: (sums.get(key)?.bytes ?? 0) + given });
    }
    tell([...sums.values()]);
    return outcome;
  };
}

import { expect, test } from "vitest";
import { memoryDataset } from "../../../test/memoryDataset.js";
import { silentLog } from "../../base/log.js";
import { leastMemory } from "../../plan/trainingMemory.js";
import { type ChosenRun, chooseRun, type Machine } from "./chooseRun.js";

/** A machine that does so many FLOPs a second in every model, and holds twice what a step must keep. */
function machineOf(flops: number, gigabytes: number): Machine {
  const name = "torch:cpu";
  return {
    backend: { name, description: "given" },
    memoryLimit: gigabytes * 1e9,
    tryRun: async ({ plan, model, stream, config }) => ({
      stepSeconds: plan.flopsPerStep / flops,
      evaluationSeconds: 1,
      peakBytes: 2 * leastMemory(model, plan.parameters, config.stream.batchSize, stream.lengths, name),
    }),
  };
}

const laptop = machineOf(2e10, 16);
const server = machineOf(1e12, 256);
const gpu = machineOf(2e14, 80);

function choose(machine: Machine, { tokens = 3e9, seconds = 3600 } = {}): Promise<ChosenRun> {
  const dataset = memoryDataset({ hr: { train: tokens, validation: 20_000 } });
  return chooseRun({ dataset, datasetPath: "tokens", seconds, machine, log: silentLog });
}

async function titleOf(run: Promise<ChosenRun>): Promise<string> {
  return (await run).size.title;
}

test("a larger machine takes a larger model, and so does more time", async () => {
  expect(await titleOf(choose(laptop))).toBe("64 wide, 2 + 2 layers");
  expect(await titleOf(choose(laptop, { seconds: 4 * 3600 }))).toBe("128 wide, 4 + 4 layers");
  expect(await titleOf(choose(server))).toBe("256 wide, 4 + 4 layers");
  expect(await titleOf(choose(gpu, { seconds: 600 }))).toBe("mT5-Small");
  const largest = await choose(gpu);
  expect(largest).toMatchObject({ size: { title: "mT5-Base" }, limit: undefined });
  expect(largest.config).toMatchObject({ precision: "selective", model: { switch: { experts: 64 } } });
  expect(largest.config.steps).toBeGreaterThanOrEqual(3000);
  expect(largest.config.steps * largest.stepSeconds).toBeLessThanOrEqual(3600);
});

test("short text and little memory take a smaller one, and the reason is said", async () => {
  const short = await choose(gpu, { tokens: 15e6 });
  expect(short.size.title).toBe("128 wide, 4 + 4 layers");
  expect(short.limit).toMatch(/^256 wide.* was not tried: the text is too short/);
  const both = await choose(machineOf(1e8, 16), { tokens: 1000, seconds: 60 });
  expect(both.limit).toMatch(/the text is too short.*; even this one does only 0 steps in the time$/);
  const cramped = await choose(machineOf(2e14, 12));
  expect(cramped.size.title).toBe("mT5-Small");
  expect(cramped.limit).toMatch(/^mT5-Base.*: it takes .* of memory, there are 12\.\d* GB/);
});

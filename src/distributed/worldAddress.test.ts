import { describe, expect, test } from "vitest";
import { firstNode, worldAddress } from "./worldAddress.js";

const torchrun = { RANK: "1", WORLD_SIZE: "4", LOCAL_RANK: "1", MASTER_ADDR: "127.0.0.1", MASTER_PORT: "29500" };
const slurm = {
  SLURM_STEP_NUM_TASKS: "8",
  SLURM_PROCID: "3",
  SLURM_LOCALID: "1",
  SLURM_STEP_NODELIST: "gpu[07-10]",
  SLURM_JOB_ID: "4711",
  SLURM_STEP_ID: "0",
};

describe("worldAddress", () => {
  test("a process that was started alone has none", () => {
    expect(worldAddress({})).toBeUndefined();
    expect(worldAddress({ WORLD_SIZE: "1" })).toBeUndefined();
    // Inside a batch script of four tasks, but in none of its steps.
    expect(worldAddress({ SLURM_NTASKS: "4", SLURM_PROCID: "0" })).toBeUndefined();
  });

  test("torchrun's variables; its agent listens where it says so", () => {
    expect(worldAddress(torchrun)).toMatchObject({ rank: 1, worldSize: 4, localRank: 1, port: 29_500, listens: false });
    expect(worldAddress({ ...torchrun, RANK: "0" })?.listens).toBe(true);
    expect(worldAddress({ ...torchrun, RANK: "0", TORCHELASTIC_USE_AGENT_STORE: "True" })?.listens).toBe(false);
    const again = { ...torchrun, TORCHELASTIC_RESTART_COUNT: "2" };
    expect(worldAddress(again)?.attempt).not.toBe(worldAddress(torchrun)?.attempt);
  });

  test("Kubernetes' index is the rank", () => {
    const { RANK: _, ...job } = torchrun;
    expect(worldAddress({ ...job, JOB_COMPLETION_INDEX: "3" })).toMatchObject({ rank: 3, from: "Kubernetes" });
  });

  test("Slurm's step; every rank derives the same address, another one for another job", () => {
    const here = worldAddress(slurm)!;
    expect(here).toMatchObject({ rank: 3, worldSize: 8, localRank: 1, host: "gpu07", listens: false, from: "Slurm" });
    const first = worldAddress({ ...slurm, SLURM_PROCID: "0", SLURM_LOCALID: "0" })!;
    expect([first.host, first.port, first.listens]).toEqual([here.host, here.port, true]);
    expect(worldAddress({ ...slurm, SLURM_JOB_ID: "4712" })?.port).not.toBe(here.port);
  });

  test.each([
    ["no rank", { ...torchrun, RANK: undefined }],
    ["no address", { ...torchrun, MASTER_ADDR: undefined }],
    ["no port", { ...torchrun, MASTER_PORT: undefined }],
    ["a rank beyond the world", { ...torchrun, RANK: "4" }],
    ["a word for a number", { ...torchrun, WORLD_SIZE: "four" }],
    ["a Slurm step without its nodes", { ...slurm, SLURM_STEP_NODELIST: undefined }],
  ])("%s is refused", (_name, env) => {
    expect(() => worldAddress(env)).toThrow(expect.objectContaining({ code: "world-incomplete", exitCode: 2 }));
  });
});

test.each([
  ["node1", "node1"],
  ["node1,node2", "node1"],
  ["gpu[07-09,12],login1", "gpu07"],
  ["rack2-[3,5-7]-a", "rack2-3-a"],
])("the first of %s is %s", (list, first) => {
  expect(firstNode(list)).toBe(first);
});

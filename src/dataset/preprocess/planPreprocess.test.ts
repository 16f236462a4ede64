import { mkdtemp, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { startFlakyServer } from "../../../test/flakyServer.js";
import { formatShardName } from "../../corpus/shards/shardName.js";
import { planPreprocess } from "./planPreprocess.js";
import { printPlan } from "./printPlan.js";

const vocab = fileURLToPath(new URL("../../../vocab/sample.model", import.meta.url));

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "mswitch-plan-"));
});
afterEach(() => rm(dir, { recursive: true }));

describe("planPreprocess", () => {
  it("measures local shards and shares them out as the tasks would", async () => {
    // 5 shards of 10, 20, … 50 MB; holes take no disk.
    for (let i = 0; i < 5; i++) {
      const path = join(dir, formatShardName("af", "train", i, 5));
      await writeFile(path, "");
      await truncate(path, (i + 1) * 10e6);
    }
    const plan = await planPreprocess({ sources: [dir], vocab, nodes: 2, workers: 2, speed: 30 });
    expect(plan).toMatchObject({ shards: 5, measured: 5, bytes: 150e6, remoteBytes: 0, cacheBytesPerNode: 0 });
    expect(plan.tasks.map(({ task, shards, bytes }) => [task, shards, bytes])).toEqual([
      ["0/2", 3, 90e6],
      ["1/2", 2, 60e6],
    ]);
    // At 30 MB/s of JSON and 3 bytes for each compressed one, 10 MB take a second: 50 by one worker, 30 and 10 by the other.
    expect(plan.tasks.map((task) => task.seconds)).toEqual([5, 4]);
    expect(plan).toMatchObject({ seconds: 5, workerSeconds: 15, textBytes: 450e6, inputSpeedPerNode: 20 });
    // The sample's vocabulary fits 16 bits.
    expect(plan.outputBytes / plan.tokens).toBeCloseTo(2, 1);
    expect(printPlan(plan)).toMatch(/shards +5 \(all of known size\)[\s\S]*about 5s[\s\S]*1\/2 +2 +60\.0 MB {2}4s/);
  });

  it("asks a server for a few sizes and takes the others for their mean", async () => {
    const server = await startFlakyServer();
    try {
      for (let i = 0; i < 16; i++) {
        server.files.set(`/${formatShardName("am", "train", i, 16)}`, { body: Buffer.alloc(1000 + i) });
      }
      const source = { sources: [`${server.url}/{name}`], languages: ["am"], vocab };
      const plan = await planPreprocess({ ...source, splits: ["train"], nodes: 1, workers: 4, cacheBytes: 0 });
      expect(server.requests).toHaveLength(3);
      expect(server.requests.every((request) => request.startsWith("HEAD"))).toBe(true);
      expect(plan).toMatchObject({ shards: 16, measured: 3, largestShard: 1015, cacheBytesPerNode: 12 * 1015 });
      expect(plan.bytes / 16 / 1007.7).toBeCloseTo(1, 3);
      expect(plan.remoteBytes).toBe(plan.bytes);
    } finally {
      await server.close();
    }
  });

  it("falls back on what was published of mC4 where no server answers", async () => {
    const source = { sources: ["http://127.0.0.1:1/{name}"], vocab, http: { attempts: 1, serverFailures: 1 } };
    const plan = await planPreprocess({ ...source, nodes: 100, workers: 16 });
    expect(plan).toMatchObject({ shards: 56_306, measured: 0 });
    expect(plan.bytes).toBeGreaterThan(8e12);
    expect(plan.bytes).toBeLessThan(11e12);
    expect(plan.tokens).toBeGreaterThan(5.5e12);
    expect(plan.tokens).toBeLessThan(7.5e12);
    expect(printPlan(plan)).toMatch(/no size could be had[\s\S]*longest and the shortest of 100 tasks/);
  });
});

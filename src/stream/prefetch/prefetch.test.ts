import { execFile } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { writeDiskDataset } from "../../../test/diskDataset.js";
import { workerUrl } from "../../base/builtCode.js";
import { MswitchError } from "../../base/errors.js";
import { openDataset } from "../../dataset/read/openDataset.js";
import type { StreamConfig } from "../batch.js";
import { createExampleStream } from "../createExampleStream.js";
import { type Prefetcher, prefetch } from "./prefetch.js";

const config: StreamConfig = { seed: 5, batchSize: 6, inputLength: 64, mixing: { strategy: "temperature" } };
let dir: string;
let open: Prefetcher[] = [];

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "mswitch-prefetch-"));
  await writeDiskDataset(dir, { af: { train: 5000 }, cy: { train: 700 }, zu: { train: 12 } });
});
afterAll(() => rm(dir, { recursive: true }));
afterEach(async () => {
  await Promise.all(open.map((prefetcher) => prefetcher.close()));
  open = [];
});

function start(...args: Parameters<typeof prefetch>): Prefetcher {
  const prefetcher = prefetch(...args);
  open.push(prefetcher);
  return prefetcher;
}

describe("prefetch", () => {
  test("gives batch(step) in the order of the steps, from any step", async () => {
    const dataset = await openDataset(dir);
    const stream = createExampleStream(dataset, config);
    for (const startStep of [0, 12_345]) {
      const prefetcher = start(dir, config, { startStep });
      for (let step = startStep; step < startStep + 10; step++) {
        expect(await prefetcher.next()).toEqual(stream.batch(step));
      }
    }
    dataset.close();
  });

  test("several next() at once get consecutive steps, whatever is computed ahead", async () => {
    for (const ahead of [0, 1, 3]) {
      const prefetcher = start(dir, config, { startStep: 7, ahead });
      const batches = await Promise.all(Array.from({ length: 6 }, () => prefetcher.next()));
      expect(batches.map(({ step }) => step)).toEqual([7, 8, 9, 10, 11, 12]);
    }
  });

  test("an error in the worker arrives as the same MswitchError, at every next()", async () => {
    const wrong = { ...config, languages: ["afr"] };
    const dataset = await openDataset(dir);
    let thrown: unknown;
    try {
      createExampleStream(dataset, wrong);
    } catch (error) {
      thrown = error;
    }
    const prefetcher = start(dir, wrong, { startStep: 0 });
    for (let i = 0; i < 3; i++) {
      const error = await prefetcher.next().catch((rejection: unknown) => rejection);
      expect(error).toBeInstanceOf(MswitchError);
      const { message, where, why, hint, exitCode } = thrown as MswitchError;
      expect(error).toMatchObject({ message, where, why, hint, exitCode });
    }
    dataset.close();
  });

  test("a dataset that cannot be opened is an error at next(), not before", async () => {
    const prefetcher = start(join(dir, "absent"), config, { startStep: 0 });
    await expect(prefetcher.next()).rejects.toBeInstanceOf(MswitchError);
  });

  test("close() refuses what is still waited for and what comes after", async () => {
    const prefetcher = start(dir, config, { startStep: 0 });
    const waiting = prefetcher.next();
    const refused = expect(waiting).rejects.toMatchObject({ code: "data-worker-closed" });
    await prefetcher.close();
    await refused;
    await expect(prefetcher.next()).rejects.toMatchObject({ code: "data-worker-closed" });
    await prefetcher.close();
  });

  test("a process ends by itself with a prefetcher open, but not while a batch is waited for", async () => {
    const script = `
      import { prefetch } from ${JSON.stringify(workerUrl("./prefetch", import.meta.url).href)};
      const prefetcher = prefetch(${JSON.stringify(dir)}, ${JSON.stringify(config)}, { startStep: 3 });
      console.log((await prefetcher.next()).step);
      console.log((await prefetcher.next()).step);
    `;
    const { stdout } = await promisify(execFile)(process.execPath, ["--input-type=module", "-e", script]);
    expect(stdout).toBe("3\n4\n");
  });
});

import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import * as tf from "@tensorflow/tfjs-core";
import { describe, expect, it } from "vitest";
import { loadBackend } from "../../src/backends/loadBackend.js";
import { describeTorch, gemmNames, withGemm } from "../helpers/fastPaths.js";
import { testBackends } from "../helpers/tensors.js";
import { type GoldenResult, goldenCases } from "./golden.js";

const golden = fileURLToPath(new URL("../../eval/golden", import.meta.url));

async function run(directory: string): Promise<GoldenResult[]> {
  const results: GoldenResult[] = [];
  for await (const result of goldenCases(directory)) results.push(result);
  return results;
}

describe("golden cases", () => {
  it.each(testBackends)("all pass on %s, and leave nothing behind", async (backend) => {
    await loadBackend(backend);
    const before = tf.memory().numTensors;
    const results = await run(golden);
    expect(results.map(({ name, passed }) => [name, passed])).toEqual([
      ["adafactor", true],
      ["mt5-untied-geglu", true],
      ["relative_position_buckets.json", true],
      ["switch-relu-drops", true],
      ["switch-relu-tied", true],
      ["switch-relu-untied", true],
    ]);
    expect(tf.memory().numTensors).toBe(before);
  });

  it("fail where a value is wrong, and name it", async () => {
    await loadBackend("wasm");
    const directory = mkdtempSync(join(tmpdir(), "mswitch-golden-"));
    cpSync(join(golden, "switch-relu-drops"), join(directory, "case"), { recursive: true });
    const config = join(directory, "case", "config.json");
    writeFileSync(config, readFileSync(config, "utf8").replace('"expert_capacity": 4', '"expert_capacity": 5'));
    const [{ passed, differences }] = await run(directory);
    rmSync(directory, { recursive: true });
    expect(passed).toBe(false);
    expect(differences.find(({ kind }) => kind === "logits")?.relative).toBeGreaterThan(1e-4);
  });

  it("are asked for where they are not", async () => {
    await expect(run(join(golden, "absent"))).rejects.toMatchObject({
      code: "golden-unreadable",
      where: join(golden, "absent"),
    });
  });
});

describeTorch("golden cases on torch", () => {
  it.each(gemmNames.float32)("all pass in float32, products by %s, and leave nothing behind", async (kernels) => {
    const before = tf.memory().numTensors;
    const failed = (await withGemm("float32", kernels, () => run(golden))).filter(({ passed }) => !passed);
    expect(failed).toEqual([]);
    expect(tf.memory().numTensors).toBe(before);
  });
});

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { torchStatus } from "@mswitch/tfjs-backend-torch";
import { expect, test } from "vitest";
import { startPretrain, writeTinyPipeline } from "./pretrainRun.js";

const torch = torchStatus();

test("a run that goes on with another number of threads is told so, with the same number it is not", {
  timeout: 300_000,
}, async (ctx) => {
  if (!torch.available) ctx.skip(`torch: ${torch.reason}`);
  const folder = mkdtempSync(join(tmpdir(), "mswitch-threads-"));
  try {
    const pipeline = await writeTinyPipeline(folder, { backend: "torch" });
    const goOn = async (threads: number, steps: number): Promise<string> => {
      const { code, stderr } = await startPretrain([
        ...[pipeline, "--threads", String(threads), "--set", `steps=${steps}`],
      ]).ended;
      expect(code, stderr).toBe(0);
      return stderr;
    };
    const warning = /so far the run was computed by (\d+) threads?, from here on by (\d+)/;
    expect(await goOn(1, 2)).not.toMatch(warning);
    expect(await goOn(1, 4)).not.toMatch(warning);
    expect(warning.exec(await goOn(2, 6))?.slice(1)).toEqual(["1", "2"]);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

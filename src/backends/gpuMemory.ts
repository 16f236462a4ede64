import { execFileSync } from "node:child_process";

/**
 * Bytes of memory of a CUDA device, as `nvidia-smi` tells them; undefined where that is not there or says nothing.
 *
 * @param device its number among those that this process sees: `CUDA_VISIBLE_DEVICES` chooses and orders them
 */
export function gpuMemory(device: number, visible = process.env.CUDA_VISIBLE_DEVICES): number | undefined {
  const id = visible?.split(",")[device]?.trim() || String(device);
  try {
    const query = ["--query-gpu=memory.total", "--format=csv,noheader,nounits", `--id=${id}`];
    const text = execFileSync("nvidia-smi", query, {
      encoding: "utf8",
      timeout: 20_000,
      stdio: ["ignore", "pipe", "ignore"],
    });
    const mebibytes = Number.parseInt(text, 10);
    return Number.isNaN(mebibytes) ? undefined : mebibytes * 2 ** 20;
  } catch {
    return undefined;
  }
}

import * as tf from "@tensorflow/tfjs-core";
import { MswitchError, messageOf } from "../base/errors.js";
import { formatBytes } from "../base/format.js";
import { deviceMemory } from "./deviceMemory.js";

/**
 * libtorch through our own backend.
 *
 * @param device `torch`: CUDA where there is a device, else the CPU; or one by name, `torch:cpu`, `torch:cuda:1`
 */
export async function loadTorch(
  device = "torch",
): Promise<{ description: string; threads: number; cudaDevice: number | undefined }> {
  const { torchStatus } = await import("@mswitch/tfjs-backend-torch").catch((cause: NodeJS.ErrnoException) => {
    if (cause.code === "ERR_MODULE_NOT_FOUND") {
      throw new MswitchError("@mswitch/tfjs-backend-torch is not installed", {
        code: "backend-not-installed",
        hint: "npm install @mswitch/tfjs-backend-torch, with a PyTorch or libtorch to build it against",
      });
    }
    throw new MswitchError("@mswitch/tfjs-backend-torch does not load", {
      code: "backend-not-loadable",
      why: messageOf(cause),
      cause,
    });
  });
  const status = torchStatus();
  if (!status.available) {
    throw new MswitchError("the torch backend does not load", {
      code: "libtorch-not-found",
      why: status.reason,
      hint: "pip install torch, then npx @mswitch/tfjs-backend-torch build",
    });
  }
  const { torchVersion, cudaDevices, cudaBuild, threads, cpu, gemm } = status.info;
  const cuda = cudaBuild ? `${cudaDevices} CUDA devices` : "no CUDA";
  if (!(await tf.setBackend(device))) {
    throw new MswitchError(`the backend ${device} did not start`, {
      code: "backend-not-loadable",
      why: `libtorch ${torchVersion} here has ${cuda}`,
      hint: "--backend torch:cpu, or `mswitch doctor`",
    });
  }
  const onCuda = device.startsWith("torch:cuda") || (device === "torch" && cudaDevices > 0);
  const place = onCuda
    ? device.replace(/^torch$/, "torch:cuda:0")
    : `CPU (${cpu}; matrix products bfloat16:${gemm.bfloat16}, float32:${gemm.float32}), ${threads} threads, ${cuda}`;
  const cudaDevice = onCuda ? Number(/\d+$/.exec(place)?.[0] ?? 0) : undefined;
  const memory = deviceMemory();
  const room = memory ? `, ${formatBytes(memory.total)}` : "";
  return { description: `libtorch ${torchVersion} on ${place}${room}`, threads, cudaDevice };
}

/** Which kernels multiply matrices here and what each of them reached, for `doctor`; undefined without libtorch. */
export async function describeGemm(): Promise<string | undefined> {
  const torch = await import("@mswitch/tfjs-backend-torch").catch(() => undefined);
  const status = torch?.torchStatus();
  if (torch === undefined || !status?.available) return undefined;
  const { gemm } = status.info;
  const rates = torch.gemmMeasurement()?.rates;
  const types = ["bfloat16", "float32"] as const;
  const parts = types.map((type) => {
    const measured = Object.entries(rates?.[type] ?? {}).map(([name, gflops]) => `${name} ${gflops.toFixed(0)}`);
    return `${type} by ${gemm[type]}${measured.length > 0 ? ` (${measured.join(", ")} GFLOP/s in one thread)` : ""}`;
  });
  return `${parts.join("; ")}. TFJS_TORCH_GEMM=bfloat16:NAME,float32:NAME takes others`;
}

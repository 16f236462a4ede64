import * as tf from "@tensorflow/tfjs-core";
import { MswitchError, messageOf } from "../base/errors.js";

/** libtorch through our own backend: CUDA where there is a device, else the CPU. */
export async function loadTorch(): Promise<string> {
  const { torchStatus } = await import("@mswitch/tfjs-backend-torch").catch((cause: unknown) => {
    throw new MswitchError("@mswitch/tfjs-backend-torch does not load", { why: messageOf(cause), cause });
  });
  const status = torchStatus();
  if (!status.available) {
    throw new MswitchError("libtorch is not there", {
      why: status.reason,
      hint: "pip install torch, then npm run build:native -w @mswitch/tfjs-backend-torch",
    });
  }
  if (!(await tf.setBackend("torch"))) throw new MswitchError("the torch backend did not start");
  const { torchVersion, cudaDevices, threads, cpu } = status.info;
  const device = cudaDevices > 0 ? "CUDA" : `CPU (${cpu}), ${threads} threads`;
  return `libtorch ${torchVersion} on ${device}`;
}

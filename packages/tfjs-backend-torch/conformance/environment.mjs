import { createRequire } from "node:module";
import util from "node:util";
import "@tensorflow/tfjs-core/dist/public/chained_ops/register_all_chained_ops.js";
import "@tensorflow/tfjs-core/dist/register_all_gradients.js";
import { setTestEnvs } from "@tensorflow/tfjs-core/dist/jasmine_util.js";
import { allKernels } from "../src/kernels/all.ts";
import { hostKernelNames } from "../src/kernels/host.ts";
import { setTorchThreads } from "../src/register.ts";

const backendName = process.env.CONFORMANCE_BACKEND ?? "torch:cpu";
// TensorFlow's own backend, from where `mswitch setup tfjs-node` put it. Node.js 23 removed from `util` what it calls.
const { CONFORMANCE_PACKAGE: packageEntry } = process.env;
if (packageEntry !== undefined) {
  util.isNullOrUndefined ??= (value) => value === null || value === undefined;
  util.isArray = Array.isArray;
  createRequire(import.meta.url)(packageEntry);
}
setTestEnvs([{ name: backendName, backendName, isDataSync: true }]);
// The tests' tensors are small: more threads only wait for one another.
if (backendName.startsWith("torch")) setTorchThreads(1);
globalThis.conformanceKernels = { all: Object.keys(allKernels), host: hostKernelNames };

import "@tensorflow/tfjs-core/dist/public/chained_ops/register_all_chained_ops.js";
import "@tensorflow/tfjs-core/dist/register_all_gradients.js";
import { setTestEnvs } from "@tensorflow/tfjs-core/dist/jasmine_util.js";
import { allKernels } from "../src/kernels/all.ts";
import { hostKernelNames } from "../src/kernels/host.ts";
import { setTorchThreads } from "../src/register.ts";

const backendName = process.env.CONFORMANCE_BACKEND ?? "torch:cpu";
setTestEnvs([{ name: backendName, backendName, isDataSync: true }]);
// The tests' tensors are small: more threads only wait for one another.
if (backendName.startsWith("torch")) setTorchThreads(1);
globalThis.conformanceKernels = { all: Object.keys(allKernels), host: hostKernelNames };

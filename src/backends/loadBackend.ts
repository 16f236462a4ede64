import * as tf from "@tensorflow/tfjs-core";
import { MswitchError, messageOf, usageError } from "../base/errors.js";
import { nearest } from "../base/nearest.js";
import { registerGradients } from "../ops/gradients.js";
import { loadCpu } from "./cpu.js";
import { loadPackageBackend } from "./packageBackend.js";
import { loadTorch } from "./torch.js";
import { loadWasm } from "./wasm.js";

/** What a loader finds. */
interface Found {
  /** For the log: version and what it runs on. */
  description: string;
  /** Threads of one operation, where the backend says. Results depend on them, by rounding. */
  threads?: number;
  /** Number of the CUDA device that it computes on; undefined on the CPU. */
  cudaDevice?: number;
}

const onlyDescribed = async (description: Promise<string>): Promise<Found> => ({ description: await description });

/**
 * Every backend, best first: the default is the first that loads. A loader makes its backend TensorFlow.js's own and says what it
 * is, or throws an MswitchError that says how to get it. A new backend is one more line here.
 */
const loaders = {
  torch: () => loadTorch(),
  "tfjs-node-gpu": async () => ({
    description: await loadPackageBackend({ packageName: "@tensorflow/tfjs-node-gpu", backend: "tensorflow" }),
    cudaDevice: 0,
  }),
  "tfjs-node": () => onlyDescribed(loadPackageBackend({ packageName: "@tensorflow/tfjs-node", backend: "tensorflow" })),
  wasm: () => onlyDescribed(loadWasm()),
  cpu: () => onlyDescribed(loadCpu()),
} satisfies Record<string, () => Promise<Found>>;

export type BackendName = keyof typeof loaders;

export const backendNames = Object.keys(loaders) as BackendName[];

/** A backend on a device of its own choosing, where it has several: `torch:cpu`, `torch:cuda`, `torch:cuda:0`. */
export type DeviceName = `torch:${string}`;

export interface Backend extends Found {
  name: BackendName | DeviceName;
  /** TensorFlow.js with this backend set. */
  tf: typeof tf;
}

export interface BackendFinding {
  name: BackendName;
  usable: boolean;
  /** What it is, or why it cannot be used and how to get it. */
  description: string;
}

/** Loads a backend by name, the best one found where no name is given, and makes it TensorFlow.js's own. */
export async function loadBackend(name?: string): Promise<Backend> {
  quietTensorFlow();
  registerGradients();
  if (name !== undefined) {
    if (isTorchDevice(name)) return { name, ...(await loadTorch(name)), tf };
    const known = backendNames.find((candidate) => candidate === name);
    if (!known) {
      const near = nearest(name, backendNames);
      throw usageError(`unknown backend "${name}"`, {
        code: "unknown-backend",
        why: `there are ${backendNames.join(", ")}; and torch:cpu, torch:cuda, torch:cuda:0 to torch:cuda:7`,
        ...(near ? { hint: `--backend ${near}` } : {}),
      });
    }
    return { name: known, ...(await loaders[known]()), tf };
  }
  const failures: string[] = [];
  for (const candidate of backendNames) {
    try {
      return { name: candidate, ...(await loaders[candidate]()), tf };
    } catch (error) {
      failures.push(`${candidate}: ${messageOf(error)}`);
    }
  }
  throw new MswitchError("no TensorFlow.js backend can be used", { code: "no-backend", why: failures.join("; ") });
}

/** Every backend, best first, and whether it can be used here. The backend that was set stays set. */
export async function findBackends(): Promise<BackendFinding[]> {
  quietTensorFlow();
  const before = tf.getBackend();
  const findings: BackendFinding[] = [];
  for (const name of backendNames) {
    try {
      findings.push({ name, usable: true, description: (await loaders[name]()).description });
    } catch (error) {
      const hint = error instanceof MswitchError && error.hint ? `; to get it: ${error.hint}` : "";
      findings.push({ name, usable: false, description: `${messageOf(error)}${hint}` });
    }
  }
  if (before) await tf.setBackend(before);
  return findings;
}

function isTorchDevice(name: string): name is DeviceName {
  return /^torch:(cpu|cuda(:[0-7])?)$/.test(name);
}

/** Keeps TensorFlow.js from advertising its other backends on the console. */
function quietTensorFlow(): void {
  tf.env().set("PROD", true);
}

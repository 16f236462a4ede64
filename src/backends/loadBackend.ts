import * as tf from "@tensorflow/tfjs-core";

/** Best first: the default is the first that loads. */
export const backendNames = ["tfjs-node-gpu", "tfjs-node", "wasm", "cpu"] as const;
export type BackendName = (typeof backendNames)[number];

export interface Backend {
  name: BackendName;
  /** For the log: version and what it runs on. */
  description: string;
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
  return { name: name as BackendName, description: "", tf };
}

/** Every backend, best first, and whether it can be used here. Nothing is left set. */
export async function findBackends(): Promise<BackendFinding[]> {
  return [];
}

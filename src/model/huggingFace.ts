import type { ModelConfig } from "./config.js";
import type { Parameters } from "./parameters.js";

export interface SaveModelOptions {
  /** Above this many bytes of weights the file is split. Default 5 GB, Transformers' own. */
  maxShardBytes?: number;
}

/**
 * Writes `config.json` and `model.safetensors` (float32; split with an index above `maxShardBytes`) into an existing directory,
 * each durably. Complete only when this has returned: markers are the caller's.
 */
export async function saveModel(
  _directory: string,
  _config: ModelConfig,
  _params: Parameters,
  _options: SaveModelOptions = {},
): Promise<void> {
  throw new Error("internal: not written yet");
}

/** Reads a model directory, one of ours or of Transformers'. Names, shapes and dtypes are checked before anything is allocated. */
export async function loadModel(_directory: string): Promise<{ config: ModelConfig; params: Parameters }> {
  throw new Error("internal: not written yet");
}

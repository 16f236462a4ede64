import { open, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import * as tf from "@tensorflow/tfjs-core";
import * as z from "zod";
import { writeFileAtomic } from "../../base/atomicFile.js";
import { packageRoot } from "../../base/builtCode.js";
import { MswitchError, messageOf } from "../../base/errors.js";
import type { FileContent } from "../../base/hash.js";
import type { ModelConfig } from "../config.js";
import { type Parameters, parameterShapes } from "../parameters.js";
import { checkpointTensors } from "./checkpointTensors.js";
import { fromHuggingFaceConfig, modelTypeOf, toHuggingFaceConfig } from "./huggingFaceConfig.js";
import { openSafetensors, type SafetensorsFile, type TensorSource, writeSafetensors } from "./safetensors.js";

export interface SaveModelOptions {
  /** Above this many bytes of weights the file is split. Default 5 GB, Transformers' own. */
  maxShardBytes?: number;
}

const configName = "config.json";
const weightsName = "model.safetensors";
const indexName = "model.safetensors.index.json";
/** A configuration or an index beyond this is not one. */
const maxJsonBytes = 64 * 2 ** 20;

/** May stand in a checkpoint beside what a configuration needs: repetitions that some versions of Transformers write. */
const repetitions = new Set(["encoder.embed_tokens.weight", "decoder.embed_tokens.weight", "lm_head.weight"]);

/** What `generate` starts from and stops at; T5's ids. */
const generationConfig = `${JSON.stringify(
  { decoder_start_token_id: 0, eos_token_id: 1, pad_token_id: 0, max_new_tokens: 64 },
  null,
  2,
)}\n`;

/**
 * Writes `config.json`, `generation_config.json` and `model.safetensors` (float32; split with an index above `maxShardBytes`) into an
 * existing directory, each durably; for a model that Transformers has no class for also the Python code of one. Complete only when this has returned: markers are the caller's.
 *
 * @returns what the files of weights hold, by name
 */
export async function saveModel(
  directory: string,
  config: ModelConfig,
  params: Parameters,
  { maxShardBytes = 5e9 }: SaveModelOptions = {},
): Promise<Map<string, FileContent>> {
  let last: { name: string; values: Promise<Float32Array> } | undefined;
  const valuesOf = (name: string): Promise<Float32Array> => {
    // The experts of a stacked parameter follow each other: read it once.
    if (last?.name !== name) last = { name, values: params.get(name)!.data<"float32">() };
    return last.values;
  };
  const sources = [...checkpointTensors(config)].map(([name, { parameter, expert, shape }]): TensorSource => {
    const size = tf.util.sizeFromShape(shape);
    const begin = (expert ?? 0) * size;
    return { name, shape, dtype: "F32", values: async () => (await valuesOf(parameter)).subarray(begin, begin + size) };
  });

  const shards = splitBySize(sources, maxShardBytes);
  const metadata = { format: "pt" };
  const files = shards.map((_, i) => (shards.length === 1 ? weightsName : shardName(i, shards.length)));
  const written = new Map<string, FileContent>();
  for (const [i, shard] of shards.entries()) {
    written.set(files[i], await writeSafetensors(join(directory, files[i]), shard, metadata));
  }
  if (shards.length > 1) {
    const weightMap = Object.fromEntries(shards.flatMap((shard, i) => shard.map(({ name }) => [name, files[i]])));
    const index = { metadata: { total_size: byteSize(sources) }, weight_map: weightMap };
    await writeFileAtomic(join(directory, indexName), `${JSON.stringify(index, null, 2)}\n`);
  }
  await writeFileAtomic(join(directory, configName), toHuggingFaceConfig(config));
  await writeFileAtomic(join(directory, "generation_config.json"), generationConfig);
  if (modelTypeOf(config) !== "mswitch") return written;
  for (const file of ["configuration_mswitch.py", "modeling_mswitch.py"]) {
    await writeFileAtomic(join(directory, file), await readFile(new URL(`python/${file}`, packageRoot)));
  }
  return written;
}

/** Reads a model directory, one of ours or of Transformers'. Names, shapes and dtypes are checked before anything is allocated. */
export async function loadModel(directory: string): Promise<{ config: ModelConfig; params: Parameters }> {
  return withWeights(directory, async (config, fileOf) => ({ config, params: await readParameters(config, fileOf) }));
}

/** The model of a directory without its weights, and the paths of the files that hold them, which are checked as by `loadModel`. */
export async function readModelConfig(directory: string): Promise<{ config: ModelConfig; weightFiles: string[] }> {
  return withWeights(directory, async (config, fileOf) => ({
    config,
    weightFiles: [...new Set([...fileOf.values()].map(({ path }) => path))].sort(),
  }));
}

async function withWeights<T>(
  directory: string,
  use: (config: ModelConfig, fileOf: ReadonlyMap<string, SafetensorsFile>) => Promise<T>,
): Promise<T> {
  const { files, fileOf } = await openWeights(directory);
  try {
    const configPath = join(directory, configName);
    let config: ModelConfig;
    try {
      config = fromHuggingFaceConfig(await readJson(configPath), new Set(fileOf.keys()));
    } catch (error) {
      if (error instanceof MswitchError) throw error;
      throw new MswitchError("not a model configuration", {
        code: "model-config-invalid",
        where: configPath,
        why: messageOf(error),
        cause: error,
      });
    }
    if (await hasSeparateEmbeddings(config, fileOf)) config = { ...config, separateInputEmbeddings: true };
    checkTensors(directory, config, fileOf);
    return await use(config, fileOf);
  } finally {
    for (const file of files) await file.close();
  }
}

async function readParameters(config: ModelConfig, fileOf: ReadonlyMap<string, SafetensorsFile>): Promise<Parameters> {
  const values = new Map<string, Float32Array>();
  const shapes = parameterShapes(config);
  const params = new Map<string, tf.Variable>();
  const left = new Map<string, number>();
  for (const { parameter, copy } of checkpointTensors(config).values()) {
    if (!copy) left.set(parameter, (left.get(parameter) ?? 0) + 1);
  }
  for (const [name, { parameter, expert, copy }] of checkpointTensors(config)) {
    if (copy) continue;
    const shape = shapes.get(parameter)!;
    const read = await fileOf.get(name)!.readFloat(name);
    if (expert === undefined) values.set(parameter, read);
    else {
      const stacked = values.get(parameter) ?? new Float32Array(tf.util.sizeFromShape(shape));
      stacked.set(read, expert * read.length);
      values.set(parameter, stacked);
    }
    left.set(parameter, left.get(parameter)! - 1);
    if (left.get(parameter) === 0) {
      params.set(
        parameter,
        tf.tidy(() => tf.variable(tf.tensor(values.get(parameter)!, shape))),
      );
      values.delete(parameter);
    }
  }
  return params;
}

/** An untied Switch of Transformers' has three input tables, and in version 5 they differ: ours has one, or two. */
async function hasSeparateEmbeddings(
  config: ModelConfig,
  fileOf: ReadonlyMap<string, SafetensorsFile>,
): Promise<boolean> {
  const names = ["shared.weight", "encoder.embed_tokens.weight", "decoder.embed_tokens.weight"];
  if (config.separateInputEmbeddings || config.tieEmbeddings || !names.every((name) => fileOf.has(name))) return false;
  const [shared, encoder, decoder] = await Promise.all(names.map((name) => fileOf.get(name)!.readFloat(name)));
  const equal = (a: Float32Array, b: Float32Array): boolean => Buffer.compare(bytesOf(a), bytesOf(b)) === 0;
  return !equal(shared, encoder) || !equal(shared, decoder);
}

function bytesOf(values: Float32Array): Uint8Array {
  return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
}

function checkTensors(directory: string, config: ModelConfig, fileOf: ReadonlyMap<string, SafetensorsFile>): void {
  const expected = checkpointTensors(config);
  const missing = [...expected].filter(([name, { copy }]) => !copy && !fileOf.has(name)).map(([name]) => name);
  if (missing.length > 0) throw mismatch(directory, `lacks ${some(missing)}, which ${configName} asks for`);
  const unexpected = [...fileOf.keys()].filter((name) => !expected.has(name) && !repetitions.has(name));
  if (unexpected.length > 0)
    throw mismatch(directory, `holds ${some(unexpected)}, which ${configName} knows nothing of`);
  for (const [name, { shape }] of expected) {
    const file = fileOf.get(name);
    const entry = file?.tensors.get(name);
    if (!file || !entry) continue;
    if (entry.shape.join() !== shape.join()) {
      throw mismatch(
        file.path,
        `"${name}" is [${entry.shape.join(", ")}], ${configName} makes it [${shape.join(", ")}]`,
      );
    }
    if (entry.dtype === "I32") throw mismatch(file.path, `"${name}" is ${entry.dtype}, not a floating type`);
  }
}

/** Opens `model.safetensors`, or what its index names. */
async function openWeights(
  directory: string,
): Promise<{ files: SafetensorsFile[]; fileOf: Map<string, SafetensorsFile> }> {
  const indexPath = join(directory, indexName);
  const hasIndex = await exists(indexPath);
  if (!hasIndex && !(await exists(join(directory, weightsName)))) await refusePickle(directory);
  const files: SafetensorsFile[] = [];
  const fileOf = new Map<string, SafetensorsFile>();
  try {
    if (!hasIndex) {
      const file = await openSafetensors(join(directory, weightsName));
      files.push(file);
      for (const name of file.tensors.keys()) fileOf.set(name, file);
      return { files, fileOf };
    }
    const index = z.object({ weight_map: z.record(z.string(), z.string()) }).safeParse(await readJson(indexPath));
    if (!index.success) throw mismatch(indexPath, "has no weight_map of names to files");
    const byName = new Map<string, SafetensorsFile>();
    for (const [name, fileName] of Object.entries(index.data.weight_map)) {
      if (!/^[\w.-]+\.safetensors$/.test(fileName)) throw mismatch(indexPath, `"${fileName}" is not a file name`);
      let file = byName.get(fileName);
      if (!file) {
        file = await openSafetensors(join(directory, fileName));
        files.push(file);
        byName.set(fileName, file);
      }
      if (!file.tensors.has(name)) throw mismatch(file.path, `holds no "${name}", which ${indexName} puts there`);
      fileOf.set(name, file);
    }
    return { files, fileOf };
  } catch (error) {
    for (const file of files) await file.close();
    throw error;
  }
}

function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}

/** Weights in Python's pickle format are programs: they are not read, and the way to safetensors is told. */
async function refusePickle(directory: string): Promise<void> {
  for (const name of ["pytorch_model.bin", "pytorch_model.bin.index.json"]) {
    if (!(await exists(join(directory, name)))) continue;
    const convert = `from transformers import AutoModelForSeq2SeqLM as M; M.from_pretrained("${directory}").save_pretrained("${directory}-safetensors", safe_serialization=True)`;
    throw new MswitchError("the weights are in PyTorch's pickle format", {
      code: "weights-not-safetensors",
      where: join(directory, name),
      why: "a pickle is a program that runs when it is read; mswitch reads safetensors",
      hint: `convert them: python3 -c '${convert}'`,
    });
  }
}

async function readJson(path: string): Promise<unknown> {
  try {
    const file = await open(path, "r");
    try {
      const { size } = await file.stat();
      if (size > maxJsonBytes) throw new Error(`${size} bytes are too many`);
      return JSON.parse(await readFile(file, "utf8"));
    } finally {
      await file.close();
    }
  } catch (error) {
    throw new MswitchError("cannot be read", {
      code: "model-unreadable",
      where: path,
      why: messageOf(error),
      cause: error,
    });
  }
}

function shardName(index: number, count: number): string {
  const digits = (value: number): string => String(value).padStart(5, "0");
  return `model-${digits(index + 1)}-of-${digits(count)}.safetensors`;
}

function splitBySize(sources: TensorSource[], maxBytes: number): TensorSource[][] {
  const shards: TensorSource[][] = [[]];
  for (const source of sources) {
    const current = shards[shards.length - 1];
    if (current.length > 0 && byteSize([...current, source]) > maxBytes) shards.push([source]);
    else current.push(source);
  }
  return shards;
}

function byteSize(sources: TensorSource[]): number {
  return sources.reduce((sum, { shape }) => sum + 4 * tf.util.sizeFromShape([...shape]), 0);
}

function some(names: string[]): string {
  const shown = names.slice(0, 3).map((name) => `"${name}"`);
  return `${shown.join(", ")}${names.length > 3 ? ` and ${names.length - 3} more` : ""}`;
}

function mismatch(where: string, why: string): MswitchError {
  return new MswitchError("the weights do not fit", { code: "weights-mismatch", where, why });
}

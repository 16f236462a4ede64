import { open, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import * as tf from "@tensorflow/tfjs-core";
import * as z from "zod";
import { storedValues } from "../../backends/storedValues.js";
import { writeFileAtomic } from "../../base/atomicFile.js";
import { packageRoot } from "../../base/builtCode.js";
import { MswitchError, messageOf } from "../../base/errors.js";
import type { FileContent } from "../../base/hash.js";
import type { ModelConfig } from "../config.js";
import { type Parameters, parameterShapes } from "../parameters.js";
import { checkpointTensors } from "./checkpointTensors.js";
import { fromHuggingFaceConfig, modelTypeOf, toHuggingFaceConfig } from "./huggingFaceConfig.js";
import { type Part, valuesOfPart } from "./part.js";
import { openSafetensors, type SafetensorsFile, type TensorSource, writeSafetensors } from "./safetensors.js";

export interface SaveModelOptions {
  /** Above this many bytes of weights the file is split. Default 5 GB, Transformers' own. */
  maxShardBytes?: number;
  /** Of a model that is written by several ranks, each its experts. */
  writer?: WeightWriter;
}

/** One of those that write a model together. Each has an equal share of every layer's experts; the first one has all else too. */
export interface WeightWriter {
  index: number;
  writers: number;
  /** Whether it writes, or only helps others to gather what they write. */
  writes: boolean;
  /** A parameter's values: all of them, or those of the writer's experts. Asked for in the same order everywhere. */
  values(parameter: string): Promise<Float32Array>;
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
  { maxShardBytes = 5e9, writer }: SaveModelOptions = {},
): Promise<Map<string, FileContent>> {
  const { index = 0, writers = 1, writes = true } = writer ?? {};
  const ownExperts = (config.switch?.experts ?? 0) / writers;
  let last: { name: string; values: Promise<Float32Array> } | undefined;
  const valuesOf = (name: string): Promise<Float32Array> => {
    // The experts of a stacked parameter follow each other: read it once.
    if (last?.name !== name) last = { name, values: writer?.values(name) ?? storedValues(params.get(name)!) };
    return last.values;
  };
  const sources = [...checkpointTensors(config)].map(([name, { parameter, expert, shape }]) => {
    const size = tf.util.sizeFromShape(shape);
    const begin = expert === undefined ? 0 : (expert % ownExperts) * size;
    const values = async (): Promise<Float32Array> => (await valuesOf(parameter)).subarray(begin, begin + size);
    const source: TensorSource = { name, shape, dtype: "F32", values };
    return { source, by: expert === undefined ? 0 : Math.floor(expert / ownExperts) };
  });

  // Every writer knows all files, and writes its own.
  const shards = Array.from({ length: writers }, (_, one) =>
    splitBySize(
      sources.filter(({ by }) => by === one).map(({ source }) => source),
      maxShardBytes,
    ).map((tensors) => ({ tensors, by: one })),
  ).flat();
  const metadata = { format: "pt" };
  const files = shards.map((_, i) => (shards.length === 1 ? weightsName : shardName(i, shards.length)));
  const written = new Map<string, FileContent>();
  for (const [i, { tensors, by }] of shards.entries()) {
    if (by !== index) continue;
    if (writes) written.set(files[i], await writeSafetensors(join(directory, files[i]), tensors, metadata));
    else for (const { values } of tensors) await values();
  }
  if (index > 0 || !writes) return written;
  if (shards.length > 1) {
    const weightMap = Object.fromEntries(
      shards.flatMap(({ tensors }, i) => tensors.map(({ name }) => [name, files[i]])),
    );
    const index = { metadata: { total_size: byteSize(sources.map(({ source }) => source)) }, weight_map: weightMap };
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

/**
 * Reads a model directory, one of ours or of Transformers'. Names, shapes and dtypes are checked before anything is allocated.
 *
 * @param partOf what of each parameter is wanted, for a rank that holds parts; all where left out
 */
export async function loadModel(
  directory: string,
  partOf?: PartOf,
): Promise<{ config: ModelConfig; params: Parameters }> {
  return withWeights(directory, async (config, fileOf) => ({
    config,
    params: await readParameters(config, fileOf, partOf),
  }));
}

/** What of a parameter is wanted, by its name and shape. */
export type PartOf = (name: string, shape: readonly number[]) => Part;

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
      const read = fromHuggingFaceConfig(await readJson(configPath), new Set(fileOf.keys()));
      config = read.config;
      const embedding = fileOf.get("shared.weight");
      if (read.outputIsEmbedding && embedding) {
        fileOf.set("lm_head.weight", renamed(embedding, "shared.weight", "lm_head.weight"));
      }
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

/** A file whose tensor `name` is also found as `other`. */
function renamed(file: SafetensorsFile, name: string, other: string): SafetensorsFile {
  return {
    ...file,
    tensors: new Map([...file.tensors, [other, file.tensors.get(name)!]]),
    readFloat: (wanted) => file.readFloat(wanted === other ? name : wanted),
  };
}

async function readParameters(
  config: ModelConfig,
  fileOf: ReadonlyMap<string, SafetensorsFile>,
  partOf: PartOf = (_, shape) => ({ begin: shape.map(() => 0), shape: [...shape] }),
): Promise<Parameters> {
  const shapes = parameterShapes(config);
  const params = new Map<string, tf.Variable>();
  let stack: Float32Array | undefined;
  for (const [name, { parameter, expert, shape, copy }] of checkpointTensors(config)) {
    if (copy) continue;
    const whole = shapes.get(parameter)!;
    const part = partOf(parameter, whole);
    const read = (of: Part): Promise<Float32Array> =>
      fileOf
        .get(name)!
        .readFloat(name)
        .then((values) => valuesOfPart(values, shape, of));
    let values: Float32Array;
    if (expert === undefined) values = await read(part);
    else {
      // The experts of a stacked parameter follow each other.
      const at = expert - part.begin[0];
      if (at < 0 || at >= part.shape[0]) continue;
      stack ??= new Float32Array(tf.util.sizeFromShape(part.shape));
      const one = await read({ begin: part.begin.slice(1), shape: part.shape.slice(1) });
      stack.set(one, at * one.length);
      if (at < part.shape[0] - 1) continue;
      [values, stack] = [stack, undefined];
    }
    params.set(
      parameter,
      tf.tidy(() => tf.variable(tf.tensor(values, part.shape))),
    );
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

import { execFileSync } from "node:child_process";
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import * as tf from "@tensorflow/tfjs-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { stringify } from "yaml";
import { silentLog } from "../src/base/log.js";
import { randomStream } from "../src/base/random.js";
import { preprocess } from "../src/dataset/preprocess/preprocess.js";
import { openDataset } from "../src/dataset/read/openDataset.js";
import { loadModel } from "../src/model/checkpoint/huggingFace.js";
import { exampleLogProbs } from "../src/model/exampleLogProbs.js";
import { generateIds } from "../src/model/generate/generateIds.js";
import { evalPointSchema, parseMetrics, runDescriptionSchema } from "../src/run/runFiles.js";
import { createExampleStream } from "../src/stream/createExampleStream.js";
import { validationExamples } from "../src/stream/validationExamples.js";
import { evaluateRun } from "../src/train/evaluateRun.js";
import { type PretrainResult, pretrain } from "../src/train/pretrain.js";
import { modelDirectory } from "../src/train/setup/findStart.js";
import { mswitch, model as vocab } from "./preprocessRuns.js";
import { resultHashes } from "./pretrainRun.js";

const python = process.env.MSWITCH_PYTHON;
const other = new URL("./fixtures/vocabularies/bpe.model", import.meta.url).pathname;

let dir: string;
let dataset: string;

const words = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"];
const spelled = (n: number): string => [...String(n)].map((digit) => words[Number(digit)]).join(" ");
const rows = (from: number, to: number): string =>
  Array.from({ length: to - from }, (_, i) =>
    JSON.stringify({ inputs: `spell: ${from + i}`, targets: spelled(from + i) }),
  ).join("\n");

async function writeDataset(out: string, vocabulary: string): Promise<void> {
  const source = join(dir, "tasks");
  for (const language of ["en", "fr"]) {
    mkdirSync(join(source, "digits", language), { recursive: true });
    writeFileSync(join(source, "digits", language, "train.jsonl"), `${rows(100, 300)}\n`);
    writeFileSync(join(source, "digits", language, "validation.jsonl"), `${rows(300, 320)}\n`);
  }
  const pairs = { inputs: "inputs", targets: "targets" };
  await preprocess({ sources: [source], vocab: vocabulary, out, pairs, workers: 1 });
}

const tiny = { dModel: 16, dKv: 4, dFf: 32, heads: 2, encoderLayers: 2, decoderLayers: 2 };

function writePipeline(name: string, keys: Record<string, unknown> = {}): string {
  const file = join(dir, `${name}.yaml`);
  const pipeline = {
    dataset,
    run: join(dir, "runs", name),
    objective: "pairs",
    model: { preset: "tiny", ...tiny, switch: { experts: 2, group: "batch" } },
    stream: { batchSize: 4, inputLength: 16, targetLength: 16 },
    steps: 4,
    evaluation: { every: 2, examplesPerLanguage: 4 },
    checkpoints: { every: 2, keepLast: 1 },
    logEvery: 1,
    backend: "wasm",
    ...keys,
  };
  writeFileSync(file, stringify(pipeline));
  return file;
}

const said: string[] = [];
const log = { info: (line: string) => void said.push(line), warn: (line: string) => void said.push(line) };

function finetune(file: string, sets: string[] = []): Promise<PretrainResult> {
  return pretrain(file, { command: "finetune", sets, log, signal: new AbortController().signal });
}

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), "mswitch-finetune-"));
  dataset = join(dir, "dataset");
  await writeDataset(dataset, vocab);
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

const shape = { objective: "pairs", inputLength: 16, targetLength: 16 } as const;
const chunk = (values: Int32Array, length: number): number[][] =>
  Array.from({ length: values.length / length }, (_, i) => [...values.subarray(i * length, (i + 1) * length)]);

const lossesOf = (run: string): number[] =>
  parseMetrics(readFileSync(join(run, "metrics.jsonl"), "utf8")).lines.map(({ loss }) => loss);

const transformers = `
import json, sys, torch
from transformers import MT5Config, MT5ForConditionalGeneration, UMT5Config, UMT5ForConditionalGeneration
from transformers.optimization import Adafactor
job = json.load(open(sys.argv[1]))
torch.manual_seed(7)
Config, Model = (UMT5Config, UMT5ForConditionalGeneration) if job["umt5"] else (MT5Config, MT5ForConditionalGeneration)
if job["make"]:
    config = Config(vocab_size=job["rows"], d_model=32, d_kv=8, d_ff=64, num_heads=4, num_layers=2, num_decoder_layers=2,
                    dropout_rate=0.0, tie_word_embeddings=False)
    model = Model(config)
    # Transformers 5 ties every new mT5 and umT5, whatever its configuration says; Google's have an output layer of their own.
    model.config.tie_word_embeddings = False
    model.lm_head.weight = torch.nn.Parameter(torch.randn(job["rows"], 32) * 32 ** -0.5)
    model.save_pretrained(job["directory"])
else:
    model = Model.from_pretrained(job["directory"]).train()
    # And it scales the states of an untied umT5's output layer as if it were tied.
    model.config.tie_word_embeddings = False
    optimizer = Adafactor(model.parameters(), lr=1e-3, scale_parameter=True, relative_step=False, warmup_init=False)
    losses = []
    for batch in job["batches"]:
        inputs, targets = torch.tensor(batch["inputs"]), torch.tensor(batch["targets"])
        loss = model(input_ids=inputs, attention_mask=(inputs != 0).long(), labels=targets.masked_fill(targets == 0, -100)).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    print(json.dumps(losses))
`;

describe.skipIf(!python)("with Transformers (set MSWITCH_PYTHON to a Python that has it)", () => {
  function runPython(job: object): string {
    const file = join(dir, "job.json");
    writeFileSync(file, JSON.stringify(job));
    return execFileSync(python!, ["-c", transformers, file], {
      encoding: "utf8",
      stdio: ["ignore", "pipe", "inherit"],
    });
  }
  test.each([
    ["mT5", 20],
    ["umT5", 6],
  ])(
    "from its %s %i steps give its losses, by the same Adafactor and batches, within 1e-4",
    async (kind, steps) => {
      const directory = join(dir, kind);
      const umt5 = kind === "umT5";
      const opened = await openDataset(dataset);
      const { embeddingRows } = opened.vocabulary;
      runPython({ make: true, umt5, directory, rows: embeddingRows });
      const file = writePipeline(`transformers-${kind}`, {
        init: { from: directory },
        model: { dropout: 0 },
        optimizer: { minFactoredSize: 1 },
        steps,
      });
      const result = await finetune(file);
      expect(result.model).toBe("mT5");
      expect((await loadModel(directory)).config.relativeBiasPerLayer ?? false).toBe(umt5);
      const stream = createExampleStream(opened, {
        ...{ objective: "pairs", seed: 0, batchSize: 4, inputLength: 16, targetLength: 16 },
        mixing: { strategy: "temperature", alpha: 1 / 3.3 },
      });
      const batches = Array.from({ length: steps }, (_, step) => {
        const { inputs, targets } = stream.batch(step);
        return { inputs: chunk(inputs, 16), targets: chunk(targets, 16) };
      });
      opened.close();
      const theirs: number[] = JSON.parse(runPython({ make: false, umt5, directory, batches }));
      const ours = lossesOf(result.run);
      expect(ours).toHaveLength(steps);
      const differences = ours.map((loss, i) => Math.abs(loss - theirs[i]));
      console.log(
        `largest difference of ${steps} losses: ${Math.max(...differences)}; from ${theirs[0]} to ${theirs[steps - 1]}`,
      );
      expect(Math.max(...differences)).toBeLessThan(1e-4);
      expect(theirs[steps - 1]).toBeLessThan(theirs[0]);
    },
    120_000,
  );
});

describe("fine-tuning", () => {
  test("begins where its source stands, has the paper's defaults, counts what is cut and says so", async () => {
    const source = await finetune(writePipeline("source"));
    said.length = 0;
    const lengths = { batchSize: 4, inputLength: 6, targetLength: 6 };
    const file = writePipeline("from-run", { init: { from: source.run }, model: {}, stream: lengths, steps: 2 });
    const { run } = await finetune(file);
    const config = readFileSync(join(run, "config.yaml"), "utf8");
    expect(config).toMatch(/ {2}dropout: 0\.1\n/);
    expect(config).toMatch(/ {4}expertDropout: 0\.4\n/);
    expect(config).toMatch(/schedule: constant\n {4}base: 0\.001\n/);
    const { truncated } = runDescriptionSchema.parse(JSON.parse(readFileSync(join(run, "run.json"), "utf8")));
    expect(truncated).toMatchObject({ pairs: 400 });
    expect(truncated?.examples).toBeGreaterThan(0);
    expect(said.some((line) => line.includes(`400 training pairs, ${truncated?.examples} of them cut`))).toBe(true);
    const point = evalPointSchema.parse(JSON.parse(readFileSync(join(run, "eval/step-00000000.json"), "utf8")));
    expect(Object.keys(point.languages)).toEqual(["digits.en", "digits.fr"]);

    // The same examples uncut: the fresh run's first evaluation is the source's last.
    const same = await finetune(writePipeline("same", { init: { from: source.run }, model: {}, steps: 2 }));
    const at = (directory: string, step: number): unknown =>
      JSON.parse(readFileSync(join(directory, `eval/step-0000000${step}.json`), "utf8")).languages;
    expect(at(same.run, 0)).toEqual(at(source.run, 4));
  }, 120_000);

  test("exact match by the forward pass is what greedy writing gives", async () => {
    // Two targets, learnt by heart: some right, some wrong.
    const file = writePipeline("exact", {
      ...{
        steps: 60,
        stream: { batchSize: 16, inputLength: 16, targetLength: 8 },
        model: { preset: "tiny", dropout: 0 },
      },
      ...{ evaluation: { every: 60, examplesPerLanguage: 16 }, checkpoints: { every: 60 } },
      optimizer: { learningRate: { schedule: "constant", base: 0.05 } },
    });
    const { run } = await finetune(file);
    const opened = await openDataset(dataset);
    const set = validationExamples(opened, "digits.en", { ...shape, targetLength: 8, examples: 16 });
    const { config, params } = await loadModel(join(run, "checkpoints/step-00000060"));
    const own = { ...config, precision: "float32" as const };
    const batch = {
      inputs: tf.tensor2d(set.inputs, [16, 16], "int32"),
      targets: tf.tensor2d(set.targets, [16, 8], "int32"),
    };
    const scores = exampleLogProbs(own, params, batch, true);
    const [hits, tokens] = [await scores.hits!.data(), await scores.tokens.data()];
    const rowsOf = (ids: Int32Array, length: number): number[][] =>
      chunk(ids, length).map((row) => row.slice(0, row.indexOf(1) + 1));
    const written = await generateIds(own, params, rowsOf(set.inputs, 16), { maxNewTokens: 8 });
    for (const [i, target] of rowsOf(set.targets, 8).entries()) {
      expect(written[i].ids.join() === target.join(), `example ${i}`).toBe(hits[i] === tokens[i]);
    }
    opened.close();
    const { point } = await evaluateRun(run, { checkpoint: "latest", generate: true, split: "validation", log });
    expect(point.languages["digits.en"].metrics).toMatchObject({
      exactMatch: hits.filter((count, i) => count === tokens[i]).length / 16,
      f1: expect.any(Number),
      chrF: expect.any(Number),
    });
  }, 120_000);

  test("keeps the best checkpoint, and ends when nothing gets better", async () => {
    // Nothing can: the rate is far too high.
    const file = writePipeline("early", {
      ...{ steps: 40, evaluation: { every: 2, examplesPerLanguage: 4, best: { patience: 2 } } },
      optimizer: { learningRate: { schedule: "constant", base: 3 } },
    });
    const result = await finetune(file);
    expect(result).toMatchObject({ interrupted: false, best: { metric: "negLogPerplexity" } });
    expect(result.step).toBe(result.best!.step + 4);
    expect(result.step).toBeLessThan(40);
    const name = (step: number): string => `step-${String(step).padStart(8, "0")}`;
    expect(readdirSync(join(result.run, "checkpoints")).sort()).toEqual([name(result.best!.step), name(result.step)]);
    // Done is done.
    expect(await finetune(file)).toMatchObject({ step: result.step, interrupted: false });
    await expect(
      finetune(writePipeline("unknown", { evaluation: { every: 2, best: { metric: "bleu" } } })),
    ).rejects.toMatchObject({ code: "metric-unknown" });
    // Before any training.
    expect(lossesOf(join(dir, "runs", "unknown"))).toEqual([]);
  }, 120_000);

  test("the best checkpoint of a branch is one that the branch has", async () => {
    // The rate is far too high: the first evaluation is the best, and the branch begins after it.
    const keys = { steps: 4, evaluation: { every: 1, examplesPerLanguage: 4, best: {} } };
    const optimizer = { learningRate: { schedule: "constant", base: 3 } };
    const whole = await finetune(writePipeline("whole", { ...keys, optimizer }));
    expect(whole.best!.step).toBeLessThan(4);
    const run = join(dir, "runs", "branch");
    const options = { command: "finetune", log, signal: new AbortController().signal } as const;
    const sets = ["steps=6"];
    const branch = await pretrain(join(whole.run, "config.yaml"), { ...options, run, fromStep: "latest", sets });
    expect(branch.best!.step).toBeGreaterThanOrEqual(4);
    expect(await modelDirectory(run)).toBe(join(run, "checkpoints", `step-0000000${branch.best!.step}`));
  }, 120_000);

  test("killed at random moments and started again, ends with the same bytes", async () => {
    const source = join(dir, "runs", "source");
    const keys = {
      ...{ init: { from: source }, model: {}, steps: 16 },
      evaluation: { every: 4, examplesPerLanguage: 4, best: { patience: 9 } },
    };
    const file = writePipeline("killed", keys);
    const [unbroken, killed] = [join(dir, "runs", "unbroken"), join(dir, "runs", "killed")];
    const start = Date.now();
    expect(await mswitch(["finetune", file, "--run", unbroken])).toMatchObject({ code: 0 });
    const duration = Date.now() - start;
    const random = randomStream(Date.now(), "kill");
    for (let kill = 0; kill < 4; kill++) {
      await mswitch(["finetune", file, "--run", killed], { kill: sleep(duration * random.float()) });
    }
    const { code, stderr } = await mswitch(["finetune", file, "--run", killed]);
    expect(code, stderr).toBe(0);
    expect(resultHashes(killed)).toEqual(resultHashes(unbroken));
    // From the run's own file, with what it began with gone.
    rmSync(source, { recursive: true });
    expect(await mswitch(["finetune", join(killed, "config.yaml")])).toMatchObject({ code: 0 });
  }, 180_000);

  test("refuses another vocabulary, a pickle, another command, and what is no model, by their codes", async () => {
    const source = await finetune(writePipeline("source-again", { steps: 2 }));
    const elsewhere = join(dir, "other-dataset");
    await writeDataset(elsewhere, other);
    const from = { init: { from: source.run }, model: {} };
    await expect(finetune(writePipeline("mismatch", { ...from, dataset: elsewhere }))).rejects.toMatchObject({
      code: "vocabulary-init-mismatch",
    });
    expect(existsSync(join(dir, "runs", "mismatch"))).toBe(false);
    await expect(finetune(writePipeline("nothing", { init: { from: dir }, model: {} }))).rejects.toMatchObject({
      code: "model-not-found",
    });
    const pickle = join(dir, "pickle");
    mkdirSync(pickle);
    writeFileSync(join(pickle, "config.json"), "{}");
    writeFileSync(join(pickle, "pytorch_model.bin"), "");
    await expect(finetune(writePipeline("pickle", { init: { from: pickle }, model: {} }))).rejects.toMatchObject({
      code: "weights-not-safetensors",
      hint: expect.stringContaining("save_pretrained"),
    });
    await expect(
      pretrain(writePipeline("pairs"), { log: silentLog, signal: new AbortController().signal }),
    ).rejects.toMatchObject({ code: "objective-command-mismatch" });
    await expect(finetune(writePipeline("shape", { ...from, model: { dFf: 64 } }))).rejects.toMatchObject({
      code: "init-model-mismatch",
    });
    const cut = join(dir, "cut");
    cpSync(source.checkpoint!, cut, { recursive: true });
    rmSync(join(cut, "spiece.model"));
    truncateSync(join(cut, "tokenizer.json"), 100);
    await expect(finetune(writePipeline("cut", { init: { from: cut }, model: {} }))).rejects.toMatchObject({
      code: "model-unreadable",
      where: join(cut, "tokenizer.json"),
    });
    const evaluation = { languages: ["digits.en", "digits.de"] };
    await expect(finetune(writePipeline("languages", { evaluation }))).rejects.toMatchObject({
      code: "language-not-in-dataset",
    });
  }, 120_000);
});

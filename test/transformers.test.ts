import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { silentLog } from "../src/base/log.js";
import { openDataset } from "../src/dataset/read/openDataset.js";
import { evalPointSchema } from "../src/run/runFiles.js";
import { validationExamples } from "../src/stream/validationExamples.js";
import { pretrain } from "../src/train/pretrain.js";

const root = fileURLToPath(new URL("..", import.meta.url));
const python = process.env.MSWITCH_PYTHON;
const languages = ["af", "am", "ja", "th", "zh"];

/** Runs of every shape that a checkpoint has, each with the keys that make it. */
const shapes: Record<string, string[]> = {
  mt5: ["model.switch=null"],
  t5: ["model.switch=null", "model.tieEmbeddings=true"],
  umt5: ["model.switch=null", "model.tieEmbeddings=true", "model.relativeBiasPerLayer=true"],
  switch_transformers: ["model.switch.experts=4", "model.feedForward=relu"],
  mswitch: ["model.switch.experts=4"],
  "mswitch of umT5": ["model.switch.experts=4", "model.relativeBiasPerLayer=true"],
};

const texts = [
  "Hello, world!  Two spaces,\ttabs\nand lines. ",
  "<extra_id_0> begins and ends <extra_id_1>",
  "Ωμέγα 漢字 ｆｕｌｌｗｉｄｔｈ ﬁ é é 🦜 ᠮᠣᠩᠭᠣᠯ",
  "",
];

const script = `
import json, sys, torch, sentencepiece
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer, pipeline
job = json.load(open(sys.argv[1]))
pieces = sentencepiece.SentencePieceProcessor(model_file=job["vocabulary"])
out = {}
for name, directory in job["directories"].items():
    tokenizer = AutoTokenizer.from_pretrained(directory, trust_remote_code=True)
    model = AutoModelForSeq2SeqLM.from_pretrained(directory, trust_remote_code=True).eval()
    quality = {}
    for code, examples in job["examples"].items():
        inputs, targets = torch.tensor(examples["inputs"]), torch.tensor(examples["targets"])
        labels = targets.masked_fill(targets == 0, -100)
        with torch.no_grad():
            logits = model(input_ids=inputs, attention_mask=(inputs != 0).long(), labels=labels).logits
        log_probs = torch.log_softmax(logits.double(), -1).gather(-1, targets[..., None])[..., 0]
        quality[code] = (log_probs * (targets != 0)).sum().item() / (targets != 0).sum().item()
    encoded = tokenizer(job["texts"][0], return_tensors="pt")
    answer = tokenizer.decode(model.generate(**encoded, max_new_tokens=8)[0])
    generator = pipeline("text-generation", model=model, tokenizer=tokenizer)
    out[name] = {
        "class": type(model).__name__,
        "quality": quality,
        "ids": [tokenizer(text)["input_ids"] for text in job["texts"]],
        "sentinels": [tokenizer.convert_tokens_to_ids(f"<extra_id_{k}>") for k in range(100)],
        "special": [tokenizer.pad_token_id, tokenizer.eos_token_id, tokenizer.unk_token_id],
        "decoded": [tokenizer.decode(tokenizer(text)["input_ids"], skip_special_tokens=True) for text in job["texts"]],
        "answer": answer,
        "pipeline": generator(job["texts"][0], max_new_tokens=8)[0]["generated_text"],
        "generation": model.generation_config.to_diff_dict(),
    }
out["sentencepiece"] = [pieces.encode(text) for text in job["texts"]]
out["decoded"] = [pieces.decode(pieces.encode(text)) for text in job["texts"]]
json.dump(out, open(sys.argv[2], "w"))
`;

describe.skipIf(!python)("checkpoints in Transformers", () => {
  let folder: string;
  const checkpoints: Record<string, string> = {};
  let out: Record<string, Record<string, unknown>>;
  let validationTexts: string[];

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), "mswitch-transformers-"));
    const dataset = join(folder, "dataset");
    execFileSync(
      process.execPath,
      [
        ...[join(root, "bin/run.js"), "preprocess", "--source", join(root, "data/sample")],
        ...["--vocab", join(root, "vocab/sample.model"), "--out", dataset, "--languages", languages.join(",")],
      ],
      { stdio: "pipe" },
    );
    for (const [name, sets] of Object.entries(shapes)) {
      const result = await pretrain(join(root, "pipelines/demo-dense.yaml"), {
        run: join(folder, name),
        sets: [`dataset=${dataset}`, "steps=3", "stream.batchSize=4", ...sets],
        backend: "wasm",
        log: silentLog,
        signal: new AbortController().signal,
      });
      checkpoints[name] = result.checkpoint!;
    }
    const opened = await openDataset(dataset);
    const examples = Object.fromEntries(
      languages.map((code) => {
        const set = validationExamples(opened, code, { examples: 8, inputLength: 64 });
        const rows = (ids: Int32Array, length: number): number[][] =>
          Array.from({ length: set.batchSize }, (_, i) => [...ids.subarray(i * length, (i + 1) * length)]);
        return [
          code,
          { inputs: rows(set.inputs, set.lengths.inputs), targets: rows(set.targets, set.lengths.targets) },
        ];
      }),
    );
    opened.close();
    validationTexts = [
      ...texts,
      ...languages.map((code) => readFileSync(join(root, "README.md"), "utf8").slice(0, 400) + code),
    ];
    const job = {
      vocabulary: join(root, "vocab/sample.model"),
      directories: checkpoints,
      examples,
      texts: validationTexts,
    };
    writeFileSync(join(folder, "job.json"), JSON.stringify(job));
    writeFileSync(join(folder, "check.py"), script);
    const env = { ...process.env, HF_MODULES_CACHE: join(folder, "modules"), HF_HUB_OFFLINE: "1" };
    execFileSync(python!, [join(folder, "check.py"), join(folder, "job.json"), join(folder, "out.json")], {
      env,
      stdio: "pipe",
    });
    out = JSON.parse(readFileSync(join(folder, "out.json"), "utf8"));
  }, 300_000);
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  test.each(Object.keys(shapes))("%s: the quality that evaluation reports", (name) => {
    const point = evalPointSchema.parse(
      JSON.parse(readFileSync(join(folder, name, "eval/step-00000003.json"), "utf8")),
    );
    for (const code of languages) {
      const theirs = (out[name].quality as Record<string, number>)[code];
      expect(Math.abs(theirs - point.languages[code].negLogPerplexity), `${name} ${code}`).toBeLessThan(1e-4);
    }
  });

  test.each(Object.keys(shapes))("%s: SentencePiece's ids, T5's sentinels, and text out", (name) => {
    const { ids, sentinels, special, decoded, answer, generation } = out[name];
    expect(special).toEqual([0, 1, 2]);
    expect(sentinels).toEqual(Array.from({ length: 100 }, (_, k) => 6099 - k));
    const expected = (out.sentencepiece as unknown as number[][]).map((text) => [...text, 1]);
    // A sentinel is cut out of the text, and what is left encoded around it.
    expect((ids as number[][])[1].filter((id) => id > 5999)).toEqual([6099, 6098]);
    for (const [i, text] of validationTexts.entries())
      if (i !== 1) expect((ids as number[][])[i], text).toEqual(expected[i]);
    for (const [i] of validationTexts.entries())
      if (i !== 1) expect((decoded as string[])[i]).toBe((out.decoded as unknown as string[])[i]);
    for (const text of [answer, out[name].pipeline]) expect(text).toMatch(/./);
    expect(generation).toMatchObject({ decoder_start_token_id: 0, eos_token_id: 1, pad_token_id: 0 });
  });

  test("the model card names what was trained and measured", () => {
    const card = readFileSync(join(checkpoints.mswitch, "README.md"), "utf8");
    expect(card).toMatch(/^---\nlibrary_name: transformers\nlanguage:\n- "af"/);
    expect(card).toContain("trust_remote_code=True");
    for (const code of languages) expect(card).toMatch(new RegExp(`^\\| ${code} \\| \\w+ \\| -\\d+\\.\\d{4} \\|`, "m"));
    expect(existsSync(join(checkpoints.mt5, "modeling_mswitch.py"))).toBe(false);
  });
});

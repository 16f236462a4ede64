import { chmodSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { startFlakyServer } from "../../../test/flakyServer.js";
import { silentLog } from "../../base/log.js";
import { type TrainVocabularyOptions, trainVocabulary } from "./trainVocabulary.js";

const root = fileURLToPath(new URL("../../..", import.meta.url));
const samplePath = join(root, "vocab/sample.model");
const path = process.env.PATH;

/** A stand-in for SentencePiece's trainer: notes what it was asked, then does as told. */
function standIn(body: string): void {
  const folder = mkdtempSync(join(tmpdir(), "mswitch-"));
  const file = join(folder, "spm_train");
  writeFileSync(
    file,
    `#!/bin/sh\nif [ "$1" = --version ]; then echo "sentencepiece 9.9.9"; exit 0; fi\nprintf '%s\\n' "$@" > "${folder}/arguments"\n${body}\n`,
  );
  chmodSync(file, 0o755);
  process.env.PATH = `${folder}${delimiter}${path}`;
  // Its Python would go first.
  vi.stubEnv("MSWITCH_PYTHON", undefined);
}

describe("trainVocabulary", () => {
  let folder: string;
  let controller: AbortController;

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "mswitch-"));
    controller = new AbortController();
  });

  afterEach(() => {
    process.env.PATH = path;
    vi.unstubAllEnvs();
  });

  const train = (options: Partial<TrainVocabularyOptions> = {}) =>
    trainVocabulary({
      sources: [join(root, "data/sample")],
      languages: ["af", "am", "zu"],
      size: 6000,
      out: join(folder, "new.model"),
      alpha: 1 / 3.3,
      maxSentences: 90,
      maxBytes: 1e9,
      coverage: 0.9995,
      seed: 1,
      log: silentLog,
      signal: controller.signal,
      ...options,
    });

  it("asks the trainer for mT5's vocabulary, keeps what it made, and measures it", async () => {
    standIn(`cp "${samplePath}" vocabulary.model; cp sentences.txt "${folder}/seen"`);
    const result = await train();
    const asked = readFileSync(join(process.env.PATH!.split(delimiter)[0], "arguments"), "utf8").split("\n");
    for (const flag of [
      "input=sentences.txt",
      "model_type=unigram",
      "vocab_size=6000",
      "byte_fallback=true",
      "character_coverage=0.9995",
      "normalization_rule_name=nmt_nfkc",
      "pad_id=0",
      "eos_id=1",
      "unk_id=2",
      "bos_id=-1",
    ]) {
      expect(asked).toContain(`--${flag}`);
    }
    expect(readFileSync(join(folder, "seen"), "utf8").trimEnd().split("\n")).toHaveLength(90);
    expect(readFileSync(result.out)).toEqual(readFileSync(samplePath));
    expect(readdirSync(folder).sort()).toEqual(["new.model", "seen"]);
    expect(result).toMatchObject({ size: 6000, trainer: "spm_train, sentencepiece 9.9.9", rejected: 0 });
    expect(result.languages.map(({ language, sentences }) => [language, sentences])).toEqual([
      ["af", 30],
      ["am", 30],
      ["zu", 30],
    ]);
    for (const { bytes, tokens, bytesPerToken } of result.languages) {
      expect(bytesPerToken).toBeGreaterThan(1);
      expect(bytesPerToken).toBe(bytes / tokens);
    }
  });

  it("says why the trainer failed, what to try, and leaves nothing behind", async () => {
    standIn(
      `echo "trainer_interface.cc(1) LOG(INFO) Loaded" >&2; echo "Internal: Vocabulary size too high (6000). Please set it to a value <= 431." >&2; exit 1`,
    );
    await expect(train()).rejects.toMatchObject({
      why: expect.stringContaining("Vocabulary size too high"),
      hint: expect.stringContaining("--size 431"),
    });
    expect(readdirSync(folder)).toEqual([]);
  });

  it("takes no damaged model from the trainer", async () => {
    standIn(`head -c 5000 "${samplePath}" > vocabulary.model`);
    await expect(train()).rejects.toMatchObject({ code: "vocabulary-invalid" });
    expect(readdirSync(folder)).toEqual([]);
  });

  it("ends the trainer when it is interrupted", async () => {
    standIn("exec sleep 600");
    setTimeout(() => controller.abort("SIGINT"), 1500);
    await expect(train()).rejects.toMatchObject({ exitCode: 130 });
    expect(readdirSync(folder)).toEqual([]);
  });

  it("says what to install where there is no trainer", async () => {
    await expect(train({ python: join(folder, "no-python") })).rejects.toMatchObject({
      exitCode: 2,
      hint: expect.stringContaining("pip install sentencepiece"),
    });
  });

  it("tells of the trainer's progress, in the words of either version", async () => {
    standIn(
      `echo "trainer_interface.cc(428) LOG(INFO) Loaded all 90 sentences" >&2; echo "I0000 00:00:1.1 1 unigram_model_trainer.cc:644] EM sub_iter=0 size=3" >&2; cp "${samplePath}" vocabulary.model`,
    );
    const said: string[] = [];
    const log = { info: (line: string) => void said.push(line), warn: (line: string) => void said.push(line) };
    await train({ log });
    expect(said).toContain("Loaded all 90 sentences");
    expect(said).toContain("EM sub_iter=0 size=3");
  });

  it("names memory where the system killed the trainer", async () => {
    standIn("kill -9 $$");
    await expect(train()).rejects.toMatchObject({
      code: "trainer-killed",
      why: expect.stringContaining("memory"),
      hint: expect.stringContaining("--max-sentences"),
    });
  });

  it("refuses a folder as the file before it reads the source", async () => {
    standIn("exit 1");
    await expect(train({ out: folder, sources: ["nowhere"] })).rejects.toMatchObject({ code: "output-unusable" });
    expect(readdirSync(folder)).toEqual([]);
  });

  it("names what it could not read, with file, line and cause", async () => {
    standIn(`cp "${samplePath}" vocabulary.model`);
    const shard = join(folder, "c4-af.tfrecord-00000-of-00001.jsonl");
    writeFileSync(shard, '{"text": "een"}\nnot json\n');
    const said: string[] = [];
    const log = { info: () => undefined, warn: (line: string) => void said.push(line) };
    const { rejected } = await train({ sources: [shard], languages: ["af"], log });
    expect(rejected).toBe(1);
    expect(said).toEqual([expect.stringMatching(/c4-af\S* line 2: invalid-json/)]);
  });

  it("takes the sources that preprocess takes: an address, files of any name", async () => {
    standIn(`cp "${samplePath}" vocabulary.model`);
    const server = await startFlakyServer();
    try {
      const body = Buffer.from('{"text": "een"}\n{"text": "twee"}\n');
      server.files.set("/c4-af.tfrecord-00000-of-00001.jsonl", { body });
      const source = `${server.url}/c4-af.tfrecord-00000-of-00001.jsonl`;
      const remote = await train({ sources: [source], languages: undefined, cacheDir: join(folder, "cache") });
      expect(remote.languages).toMatchObject([{ language: "af", documents: 2 }]);
    } finally {
      await server.close();
    }
    writeFileSync(join(folder, "a.txt"), "jedan\ndva\ntri\n");
    const own = await train({
      sources: [join(folder, "a.txt")],
      languages: undefined,
      language: "hr",
      validationEvery: 3,
    });
    expect(own.languages).toMatchObject([{ language: "hr", documents: 2 }]);
  });
});

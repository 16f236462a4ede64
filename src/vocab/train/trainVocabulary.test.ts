import { chmodSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { silentLog } from "../../base/log.js";
import { trainVocabulary } from "./trainVocabulary.js";

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
  });

  const train = (options: { python?: string; sources?: string[] } = {}) =>
    trainVocabulary({
      sources: options.sources ?? [join(root, "data/sample")],
      languages: ["af", "am", "zu"],
      size: 6000,
      out: join(folder, "new.model"),
      alpha: 1 / 3.3,
      maxSentences: 90,
      coverage: 0.9995,
      seed: 1,
      python: options.python,
      log: silentLog,
      signal: controller.signal,
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
});

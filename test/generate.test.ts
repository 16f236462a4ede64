import { execFile } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { silentLog } from "../src/base/log.js";
import { type GenerateFileOptions, generateFile, readInput } from "../src/eval/generateFile.js";
import { t5Pieces, writeModel } from "./fixtures/modelFixture.js";

const root = fileURLToPath(new URL("..", import.meta.url));
const model = join(root, "eval/golden/mt5-untied-geglu");

function mswitch(args: string[], input: string): Promise<{ code: number; stdout: string; stderr: string }> {
  return new Promise((resolve) => {
    const child = execFile(process.execPath, [`${root}bin/run.js`, ...args], { cwd: root }, (error, stdout, stderr) => {
      resolve({ code: error ? Number(error.code) : 0, stdout, stderr });
    });
    child.stdin!.end(input);
  });
}

describe("mswitch generate", () => {
  let folder: string;
  let vocabulary: string;
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), "mswitch-generate-"));
    vocabulary = join(folder, "spiece.model");
    const words = Array.from({ length: 20 }, (_, i) => `▁${String.fromCharCode(97 + i)}`);
    writeFileSync(vocabulary, writeModel({ pieces: t5Pieces(["▁", ...words], true), byteFallback: true }));
  });
  afterAll(() => rmSync(folder, { recursive: true }));
  const options = (more: Partial<GenerateFileOptions>): GenerateFileOptions => ({
    ...{ format: "jsonl", field: "inputs", metrics: [], vocabulary, backend: "wasm", log: silentLog, maxNewTokens: 5 },
    ...more,
  });

  it("answers line by line, whatever shares a batch, and measures by task and language", async () => {
    const lines = ["a b c", "d", "e f g h i j"].map((inputs, i) => ({
      inputs,
      task: "letters",
      lang: i < 2 ? "en" : "de",
      n: i,
    }));
    const jsonl = (targets?: string[]): string =>
      lines.map((line, i) => `${JSON.stringify({ ...line, ...(targets ? { targets: targets[i] } : {}) })}\n`).join("");
    const first = await generateFile(model, jsonl(), options({ batchSize: 1 }));
    const outputs = first.lines.map((line) => (line as { output: string }).output);
    expect(first.results).toEqual([]);
    expect(first.lines).toMatchObject(lines);

    const again = await generateFile(
      model,
      jsonl([outputs[0], "another", outputs[2]]),
      options({ batchSize: 3, metrics: ["exactMatch", "chrF"] }),
    );
    expect(again.lines.map((line) => (line as { output: string }).output)).toEqual(outputs);
    const result = (lang: string, metric: string) =>
      again.results.find((each) => each.lang === lang && each.metric === metric);
    expect(result("en", "exactMatch")).toMatchObject({ task: "letters", value: 0.5, examples: 2 });
    expect(result("de", "exactMatch")).toMatchObject({ value: 1, examples: 1 });
    expect(result("de", "chrF")!.value).toBe(100);
  });

  it("cuts long inputs and counts them; beams have a score", async () => {
    const { cutSources, lines } = await generateFile(
      model,
      '{"inputs": "a b c d e f"}\n{"inputs": "a"}\n',
      options({ maxInputTokens: 4, beams: 2 }),
    );
    expect(cutSources).toBe(1);
    expect((lines[0] as { score: number }).score).toBeLessThan(0);
  });

  it("reads past a byte order mark; beams beyond the vocabulary are refused", async () => {
    const file = join(folder, "marked.jsonl");
    writeFileSync(file, '\ufeff{"inputs": "a"}\n');
    const text = await readInput(file);
    expect((await generateFile(model, text, options({}))).lines).toMatchObject([{ inputs: "a" }]);
    await expect(generateFile(model, text, options({ beams: 10_000 }))).rejects.toMatchObject({ code: "flag-invalid" });
  });

  it.each(["no JSON", '{"text": "a"}', '{"inputs": 3}', '{"inputs": "a", "targets": []}', "[]"])(
    "names the line that is no example: %s",
    async (line) => {
      const run = generateFile(model, `{"inputs": "a"}\n${line}\n`, options({}));
      await expect(run).rejects.toMatchObject({ code: "generate-input-invalid", where: "line 2" });
    },
  );

  it("reads standard input and writes a file; wrong use ends with 2", async () => {
    const out = join(folder, "out.txt");
    const flags = ["--vocab", vocabulary, "--backend", "wasm", "--max-new-tokens", "3"];
    const { code, stdout } = await mswitch(["generate", model, ...flags, "--out", out], "a b\nc\n");
    expect([code, stdout]).toEqual([0, ""]);
    expect(readFileSync(out, "utf8").split("\n")).toHaveLength(3);
    const wrong = await Promise.all([
      mswitch(["generate", model, ...flags, "--metrics", "bleu"], ""),
      mswitch(["generate", join(folder, "absent"), ...flags], ""),
      mswitch(["generate", model, "--backend", "wasm"], "a\n"),
      mswitch(["generate", model, ...flags, "--metrics", "chrF"], "a\n"),
    ]);
    expect(wrong.map(({ code: each }) => each)).toEqual([2, 2, 2, 2]);
    expect(wrong[2].stderr).toContain("vocabulary-not-found");
  }, 60_000);
});

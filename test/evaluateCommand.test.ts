import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";

const root = fileURLToPath(new URL("..", import.meta.url));
const point = join("switch", "eval", "step-00000004.json");
let dir: string;

const mswitch = (...args: string[]) =>
  spawnSync(process.execPath, [join(root, "bin/run.js"), ...args], { cwd: dir, encoding: "utf8" });

const read = (file: string): Promise<string> => readFile(join(dir, file), "utf8");

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "mswitch-evaluate-"));
  const sample = ["--source", join(root, "data/sample"), "--vocab", join(root, "vocab/sample.model")];
  const overrides = ["dataset=dataset", "steps=4", "evaluation.every=2", "checkpoints.every=2", "stream.batchSize=4"];
  const runs = [
    mswitch("preprocess", ...sample, "--out", "dataset", "--languages", "af,sw"),
    ...["dense", "switch"].map((kind) =>
      mswitch(
        ...["pretrain", join(root, `pipelines/demo-${kind}.yaml`), "--run", kind, "--backend", "wasm"],
        ...overrides.flatMap((override) => ["--set", override]),
      ),
    ),
  ];
  for (const { status, stderr } of runs) expect(status, stderr).toBe(0);
});
afterAll(() => rm(dir, { recursive: true, force: true }));

test("writes the very bytes that training wrote, and only where there are none", async () => {
  const trained = await read(point);
  await rm(join(dir, point));
  const again = mswitch("evaluate", "switch");
  expect(again.status, again.stderr).toBe(0);
  expect(again.stdout).toMatch(
    /^step 4\nlanguage .*\naf .*Afrikaans .*\nsw .*Swahili .*\nmean over languages .*\nwritten: /,
  );
  expect(await read(point)).toBe(trained);
  const { written } = JSON.parse(mswitch("evaluate", "switch", "--json").stdout);
  expect(written).toEqual([]);
});

test("other examples go where they are asked to and never into the run", async () => {
  await rm(join(dir, point));
  const args = ["evaluate", "switch", "--languages", "sw", "--examples", "2", "--out", "sw.json", "--json"];
  const { languages, routing, written } = JSON.parse(mswitch(...args).stdout);
  expect(languages).toMatchObject({ sw: { name: "Swahili", examples: 2 } });
  expect(routing.map(({ layer }: { layer: string }) => layer)).toEqual(["encoder.1", "decoder.1"]);
  expect(written).toEqual(["sw.json"]);
  expect(existsSync(join(dir, point))).toBe(false);
  expect(Object.keys(JSON.parse(await read("sw.json")).languages)).toEqual(["sw"]);
  mswitch("evaluate", "switch");
});

test("an earlier checkpoint is evaluated by its step; unknown ones are refused", () => {
  expect(JSON.parse(mswitch("evaluate", "switch", "--checkpoint", "2", "--json").stdout).step).toBe(2);
  const { status, stderr } = mswitch("evaluate", "switch", "--checkpoint", "3");
  expect([status, stderr]).toEqual([2, expect.stringMatching(/no checkpoint 3: it has those of step 2, 4/)]);
  expect(mswitch("evaluate", "dataset").status).toBe(2);
  expect(mswitch("evaluate", "switch", "--languages", "de").stderr).toContain("[language-not-in-dataset]");
});

test("a dataset without the run's languages is refused, and so is a run whose description is damaged", async () => {
  mswitch(
    ...["preprocess", "--source", join(root, "data/sample"), "--vocab", join(root, "vocab/sample.model")],
    ...["--out", "zulu", "--languages", "zu"],
  );
  const languages = ["--set", "stream.languages=[af]", "--set", "dataset=dataset", "--set", "steps=1"];
  mswitch("pretrain", join(root, "pipelines/demo-dense.yaml"), "--run", "one", "--backend", "wasm", ...languages);
  expect(mswitch("evaluate", "one", "--dataset", "zulu").stderr).toContain("[no-validation-text]");
  await writeFile(join(dir, "one", "run.json"), "{");
  expect(mswitch("evaluate", "one").stderr).toContain("[run-file-unreadable]");
});

test("the report compares what was trained", async () => {
  const { status, stdout, stderr } = mswitch("report", "dense", "switch", "--out", "report", "--json");
  expect(status, stderr).toBe(0);
  const { candidates } = JSON.parse(stdout);
  expect(candidates[0].headline).toMatch(/^Mean step speed-up .* over 2 languages$/);
  expect(await read(join("report", "index.html"))).toContain("Swahili");
});

import { execFile, execFileSync, spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";

const root = fileURLToPath(new URL("..", import.meta.url));

interface ManifestFlag {
  name: string;
  description?: string;
  summary?: string;
}
interface ManifestCommand {
  id: string;
  summary?: string;
  description?: string;
  examples?: unknown[];
  flags: Record<string, ManifestFlag>;
  args: Record<string, { description?: string }>;
}
const manifest = JSON.parse(readFileSync(`${root}oclif.manifest.json`, "utf8")) as {
  commands: Record<string, ManifestCommand>;
};
const commands = Object.values(manifest.commands);

function mswitch(...args: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  return new Promise((resolve) => {
    execFile(process.execPath, [`${root}bin/run.js`, ...args], { cwd: root }, (error, stdout, stderr) => {
      resolve({ code: error ? Number(error.code) : 0, stdout, stderr });
    });
  });
}

test("every command of the design is there", () => {
  const ids = commands.map(({ id }) => id.replaceAll(":", " ")).sort();
  expect(ids).toEqual(
    [
      "completion",
      "dataset inspect",
      "dataset verify",
      "demo",
      "doctor",
      "evaluate",
      "distill",
      "finetune",
      "generate",
      "help",
      "init",
      "plan",
      "preprocess",
      "pretrain",
      "report",
      "study",
      "setup",
      "tasks",
      "vocab inspect",
      "vocab train",
    ].sort(),
  );
});

describe.each(commands)("mswitch $id", ({ id, summary, description, examples, flags, args }) => {
  test("says what it does, how, and with what", () => {
    expect(summary).toMatch(/[.?]$/);
    expect((description ?? "").length).toBeGreaterThan(80);
    expect((examples ?? []).length).toBeGreaterThan(0);
    for (const flag of Object.values(flags)) {
      if (flag.name !== "json") expect(`${flag.name}: ${flag.summary ?? flag.description ?? ""}`).toMatch(/: .{8,}/);
    }
    for (const arg of Object.values(args)) expect(arg.description ?? "").not.toBe("");
  });

  // `mswitch help --help` is the root help.
  test.skipIf(id === "help")("--help prints it", async () => {
    const { code, stdout } = await mswitch(...id.split(":"), "--help");
    expect(code).toBe(0);
    expect(stdout).toContain("USAGE");
    expect(stdout).toContain("EXAMPLES");
    for (const flag of Object.values(flags)) expect(stdout).toContain(`--${flag.name}`);
  });

  test("an unknown flag is wrong use, and one JSON document with --json", async () => {
    const plain = await mswitch(...id.split(":"), "--no-such-flag");
    expect(plain.code).toBe(2);
    expect(plain.stderr).toMatch(/^error: .*no-such-flag.* \[wrong-use\]\n {2}try: /);
    const json = await mswitch(...id.split(":"), "--no-such-flag", "--json");
    expect(json.code).toBe(2);
    expect(JSON.parse(json.stdout)).toMatchObject({ error: { code: "wrong-use" } });
  });
});

test("an unknown command is wrong use and names the nearest", async () => {
  const { code, stderr } = await mswitch("preproces");
  expect(code).toBe(2);
  expect(stderr).toContain("mswitch preprocess");
});

test("an argument that is none of those known is wrong use, with and without --json", async () => {
  for (const words of [
    ["setup", "nothing"],
    ["completion", "fish"],
  ]) {
    const { code, stdout } = await mswitch(...words, "--json");
    expect([code, JSON.parse(stdout).error.code], words.join(" ")).toEqual([2, "wrong-use"]);
  }
  const { code, stdout } = await mswitch("--json");
  expect([code, JSON.parse(stdout).error.code]).toEqual([2, "wrong-use"]);
});

test("a mistyped flag gets the nearest", async () => {
  const { code, stderr } = await mswitch("preprocess", "--sourc", "x");
  expect(code).toBe(2);
  expect(stderr).toContain("try: --source");
});

test.each([
  [["help", "preproces"], "mswitch help preprocess"],
  [["tasks", "language-ids", "--from", "data/sample", "--out", "x"], "language-id"],
  [["preprocess", "--source", "data/sampel", "--vocab", "vocab/sample.model", "--out", "x"], "try: data/sample"],
  [["preprocess", "--source", "data/sample", "--vocab", "vocab/sampel.model", "--out", "x"], "try: vocab/sample.model"],
  [["pretrain", "pipelines/demo-dens.yaml"], "try: pipelines/demo-dense.yaml"],
  [["study", "pipelines/studies/plateu.yaml", "--plan"], "try: pipelines/studies/plateau.yaml"],
  [["dataset", "verify", "dat"], "try: data"],
])("a mistyped word or path of %j gets the nearest", async (words, near) => {
  const { code, stderr } = await mswitch(...words);
  expect([1, 2]).toContain(code);
  expect(stderr).toContain(near);
});

test("an unknown command with --json is one JSON document", async () => {
  const { code, stdout } = await mswitch("preproces", "--json");
  expect(code).toBe(2);
  expect(JSON.parse(stdout)).toMatchObject({ error: { code: "wrong-use", hint: "mswitch preprocess" } });
});

test("-h, help COMMAND and --help are the same, -v and --version too", async () => {
  const [long, ...others] = await Promise.all([
    mswitch("vocab", "train", "--help"),
    mswitch("vocab", "train", "-h"),
    mswitch("help", "vocab", "train"),
  ]);
  for (const { stdout } of others) expect(stdout).toBe(long.stdout);
  expect((await mswitch("-v")).stdout).toBe((await mswitch("--version")).stdout);
});

test("completion in bash knows commands, second words and flags", async () => {
  const { stdout: script } = await mswitch("completion", "bash");
  const complete = (...words: string[]): string => {
    const last = words.length - 1;
    const run = `${script}\nCOMP_WORDS=(${words.join(" ")}); COMP_CWORD=${last}; _mswitch; echo "\${COMPREPLY[@]}"`;
    return execFileSync("bash", ["-c", run], { encoding: "utf8" }).trim();
  };
  expect(complete("mswitch", "preproc")).toBe("preprocess");
  expect(complete("mswitch", "vocab", "tr")).toBe("train");
  expect(complete("mswitch", "vocab", "train", "--si")).toBe("--size");
});

test("the root help is there without loading oclif", async () => {
  const { code, stdout } = await mswitch("--help");
  expect(code).toBe(0);
  for (const { id } of commands) expect(stdout).toContain(id.replaceAll(":", " "));
  expect(Math.max(...stdout.split("\n").map((line) => line.length))).toBeLessThanOrEqual(80);
  // It was printed at the build: nothing of that machine.
  for (const word of [process.version, `${process.platform}-${process.arch}`, root]) expect(stdout).not.toContain(word);
});

test.skipIf(!existsSync("/dev/full"))("a result that cannot be written is an error of a line", () => {
  for (const more of ["", " --json"]) {
    const command = `'${process.execPath}' bin/run.js vocab inspect vocab/sample.model${more} > /dev/full`;
    const { status, stderr } = spawnSync("sh", ["-c", command], { cwd: root, encoding: "utf8" });
    expect(status).toBe(1);
    expect(stderr).toMatch(
      /^error: stdout: the result cannot be written: the disk is full \[disk-full\]\n {2}try: .*\n$/,
    );
  }
});

test("doctor --json is one document", async () => {
  const { stdout } = await mswitch("doctor", "--json");
  const { findings } = JSON.parse(stdout) as { findings: { name: string }[] };
  expect(findings.map(({ name }) => name)).toContain("Backend wasm");
});

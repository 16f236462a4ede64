import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
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
      "dataset inspect",
      "dataset verify",
      "demo",
      "doctor",
      "evaluate",
      "preprocess",
      "pretrain",
      "report",
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

  test("--help prints it", async () => {
    const { code, stdout } = await mswitch(...id.split(":"), "--help");
    expect(code).toBe(0);
    expect(stdout).toContain("USAGE");
    expect(stdout).toContain("EXAMPLES");
    for (const flag of Object.values(flags)) expect(stdout).toContain(`--${flag.name}`);
  });

  test("an unknown flag is wrong use, and one JSON document with --json", async () => {
    const plain = await mswitch(...id.split(":"), "--no-such-flag");
    expect(plain.code).toBe(2);
    expect(plain.stderr).toContain("no-such-flag");
    const json = await mswitch(...id.split(":"), "--no-such-flag", "--json");
    expect(json.code).toBe(2);
    expect(JSON.parse(json.stdout)).toHaveProperty("error");
  });
});

test("an unknown command is wrong use and names the nearest", async () => {
  const { code, stderr } = await mswitch("preproces");
  expect(code).toBe(2);
  expect(stderr).toContain("mswitch preprocess");
});

test("the root help is there without loading oclif", async () => {
  const { code, stdout } = await mswitch("--help");
  expect(code).toBe(0);
  for (const { id } of commands) expect(stdout).toContain(id.split(":")[0]);
});

test("doctor --json is one document", async () => {
  const { stdout } = await mswitch("doctor", "--json");
  const { findings } = JSON.parse(stdout) as { findings: { name: string }[] };
  expect(findings.map(({ name }) => name)).toContain("Backend wasm");
});

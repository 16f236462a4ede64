import { spawnSync } from "node:child_process";
import { chmodSync, cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { parse } from "yaml";
import { model, preprocess, snapshot, writeCorpus } from "./preprocessRuns.js";

interface Job {
  kind: string;
  spec: {
    completionMode?: string;
    completions?: number;
    template: {
      spec: { containers: { command: string[]; args: string[]; env?: { name: string; value: string }[] }[] };
    };
  };
}

const read = (name: string): Job => parse(readFileSync(resolve("pipelines/kubernetes", name), "utf8"));

describe("pipelines/kubernetes", () => {
  let dir: string;
  beforeAll(async () => {
    dir = mkdtempSync(join(tmpdir(), "mswitch-kubernetes-"));
    await writeCorpus(join(dir, "mc4"), ["af", "zh"], { shards: 2, documents: 5, words: 30 });
    cpSync(model, join(dir, "mc4/mt5.model"));
    mkdirSync(join(dir, "bin"));
    const program = join(dir, "bin/mswitch");
    writeFileSync(program, `#!/bin/sh\nexec "${process.execPath}" "${resolve("bin/run.js")}" "$@"\n`);
    chmodSync(program, 0o755);
  });
  afterAll(() => rmSync(dir, { recursive: true }));

  /** Runs a container's command here, the claims' folders being in `dir`. */
  const runContainer = (job: Job, env: Record<string, string>): number | null => {
    const { command, args } = job.spec.template.spec.containers[0];
    const script = args.map((arg) =>
      arg.replaceAll(/ \/(mc4|tokens)/g, ` ${dir}/$1`).replace("--workers 8", "--workers 2"),
    );
    const path = `${join(dir, "bin")}:${process.env.PATH}`;
    return spawnSync(command[0], [...command.slice(1), ...script], { env: { ...process.env, ...env, PATH: path } })
      .status;
  };

  it("asks for as many completions as it tells each task of", () => {
    const { kind, spec } = read("preprocess.yaml");
    expect(kind).toBe("Job");
    expect(spec.completionMode).toBe("Indexed");
    expect(spec.template.spec.containers[0].env).toContainEqual({ name: "TASKS", value: `${spec.completions}` });
  });

  it("runs commands that, index by index and then the last one, give the bytes of one local run", async () => {
    for (const index of [0, 1]) {
      expect(runContainer(read("preprocess.yaml"), { JOB_COMPLETION_INDEX: `${index}`, TASKS: "3" })).toBe(0);
    }
    expect(runContainer(read("preprocess-finish.yaml"), {})).toBe(0);
    const args = ["--source", join(dir, "mc4"), "--vocab", join(dir, "mc4/mt5.model"), "--out", join(dir, "local")];
    expect(await preprocess(args)).toMatchObject({ code: 0 });
    expect(snapshot(join(dir, "tokens"))).toEqual(snapshot(join(dir, "local")));
  });
});

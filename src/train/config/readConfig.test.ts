import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import * as z from "zod";
import { MswitchError } from "../../base/errors.js";
import { optimizerSchema } from "./optimizerConfig.js";
import { parseSet, readConfig } from "./readConfig.js";

const schema = z.strictObject({
  steps: z.int().min(1),
  name: z.string().optional(),
  nested: z
    .strictObject({ rate: z.number().default(0.5), kind: z.enum(["slow", "fast"]).default("slow") })
    .prefault({}),
  mixing: z
    .discriminatedUnion("strategy", [
      z.strictObject({ strategy: z.literal("temperature"), alpha: z.number().default(0.3) }),
      z.strictObject({ strategy: z.literal("uniform") }),
    ])
    .prefault({ strategy: "uniform" }),
  group: z.union([z.enum(["sequence", "batch"]), z.strictObject({ tokens: z.int() })]).default("batch"),
});

let folder: string;
let file: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "mswitch-config-"));
  file = join(folder, "run.yaml");
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

function read(text: string, ...sets: string[]): Promise<z.infer<typeof schema>> {
  writeFileSync(file, text);
  return readConfig(schema, file, sets.map(parseSet));
}

async function messageFor(text: string, ...sets: string[]): Promise<string> {
  try {
    await read(text, ...sets);
  } catch (error) {
    expect(error).toBeInstanceOf(MswitchError);
    expect((error as MswitchError).exitCode).toBe(2);
    return (error as MswitchError).message.replaceAll(file, "FILE");
  }
  throw new Error("was accepted");
}

test("defaults are filled in and overrides win, in order", async () => {
  const config = await read(
    "steps: 3\nnested: {kind: fast}\n",
    "nested.rate=2",
    "steps=4",
    "steps=5",
    "group={tokens: 7}",
  );
  expect(config).toEqual({
    steps: 5,
    nested: { rate: 2, kind: "fast" },
    mixing: { strategy: "uniform" },
    group: { tokens: 7 },
  });
});

test("an unknown key is named with its place and the nearest known one", async () => {
  expect(await messageFor("steps: 3\nnested:\n  rat: 1\n")).toBe(
    "FILE:3:3: unknown key nested.rat (did you mean rate?)",
  );
  expect(await messageFor("stepz: 3\nsteps: 1\n")).toBe("FILE:1:1: unknown key stepz (did you mean steps?)");
  expect(await messageFor("steps: 1\nmixing: {strategy: temperature, alfa: 1}")).toBe(
    "FILE:2:33: unknown key mixing.alfa (did you mean alpha?)",
  );
  expect(await messageFor("steps: 1\ngroup: {token: 1}")).toContain(
    "FILE:2:9: unknown key group.token (did you mean tokens?)",
  );
});

test("a wrong type or value is named with its place and what was given", async () => {
  expect(await messageFor("steps: many\n")).toBe('FILE:1:1: steps is "many": expected number, received string');
  expect(await messageFor("steps: 1.5\n")).toContain("FILE:1:1: steps is 1.5: expected int");
  expect(await messageFor("steps: 0\n")).toContain("FILE:1:1: steps is 0: Too small");
  expect(await messageFor("steps: 1\nnested: {kind: fats}")).toContain('nested.kind is "fats"');
  expect(await messageFor("steps: 1\nnested: {kind: fats}")).toContain("(did you mean fast?)");
  expect(await messageFor("steps: 1\nmixing: {strategy: unifrom}")).toContain("(did you mean uniform?)");
  expect(await messageFor("steps: 1\ngroup: sequnce")).toContain("(did you mean sequence?)");
  expect(await messageFor("steps: 1\nnested: 4\n")).toContain("FILE:2:1: nested is 4");
});

test("a key that may be left out is not said to be undefined", async () => {
  writeFileSync(file, "optimizer: {algorithm: adam}\n");
  const read = readConfig(z.strictObject({ optimizer: optimizerSchema }), file);
  await expect(read).rejects.toThrow("Expected 'adafactor' | 'adamw' | 'muon' (did you mean adamw?)");
});

test("a missing key is named where it should stand", async () => {
  expect(await messageFor("name: x\n")).toBe("FILE:1:1: steps is missing");
});

test("all faults come at once", async () => {
  const message = await messageFor("steps: many\nnested:\n  rat: 1\n  kind: 3\nother: 1\n");
  expect(message).toContain("4 faults");
  for (const place of ["FILE:1:1", "FILE:3:3", "FILE:4:3", "FILE:5:1"]) expect(message).toContain(place);
});

test("a fault of an override names the flag", async () => {
  expect(await messageFor("steps: 1", "steps=x")).toContain("--set steps=x: steps is");
  expect(await messageFor("steps: 1", "nested.rat=1")).toBe(
    "--set nested.rat=1: unknown key nested.rat (did you mean rate?)",
  );
  expect(await messageFor("steps: 1", "steps.deep=1")).toContain("--set steps.deep=1: steps has no keys");
  expect(await messageFor("steps: 1", "__proto__.x=1")).toContain("--set __proto__.x=1: unknown key __proto__");
  expect(({} as Record<string, unknown>).x).toBeUndefined();
});

test("an override that is no path=value is refused", () => {
  for (const text of ["steps", "=1", "a..b=1", "a=[1"])
    expect(() => parseSet(text)).toThrow(expect.objectContaining({ code: "override-invalid" }));
});

test("what is no YAML mapping is refused at its place", async () => {
  expect(await messageFor("steps: [1\n")).toMatch(/^FILE:\d+:\d+: /);
  expect(await messageFor("steps: 1\nsteps: 2\n")).toMatch(/^FILE:2:1: .*unique/);
  expect(await messageFor("steps: 1\n---\nsteps: 2\n")).toMatch(/^FILE:2:1: a second document/);
  expect(await messageFor("- 1\n")).toContain("not a mapping");
  expect(await messageFor("")).toContain("not a mapping");
  const bomb = `a: &a [x,x,x,x,x,x,x,x,x,x]\n${"bcdefghij"
    .split("")
    .map((key, i) => `${key}: &${key} [${Array(10).fill(`*${"abcdefghi"[i]}`)}]`)
    .join("\n")}`;
  expect(await messageFor(bomb)).toContain("cannot be expanded");
  await expect(readConfig(schema, join(folder, "absent.yaml"))).rejects.toMatchObject({ code: "config-unreadable" });
});

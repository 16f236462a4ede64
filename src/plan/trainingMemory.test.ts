import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir, totalmem } from "node:os";
import { delimiter, join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { requireMemory } from "./trainingMemory.js";

const refused = expect.objectContaining({ code: "batch-too-large" });
const device = (cudaDevice: number) => ({ name: "torch", description: "", cudaDevice }) as const;

/** There need be no GPU: a program called nvidia-smi answers as NVIDIA's does, with 4 GiB for device 3 and 40 GiB for device 1. */
describe("on a GPU its own memory is the limit, not the machine's", () => {
  const { PATH, CUDA_VISIBLE_DEVICES } = process.env;
  let folder: string;

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "mswitch-smi-"));
    const program = join(folder, "nvidia-smi");
    writeFileSync(
      program,
      '#!/bin/sh\ncase "$*" in *--id=3*) echo 4096 ;; *--id=1*) echo 40960 ;; *) exit 6 ;; esac\n',
    );
    chmodSync(program, 0o755);
    process.env.PATH = `${folder}${delimiter}${PATH}`;
    process.env.CUDA_VISIBLE_DEVICES = "3,1";
  });
  afterEach(() => {
    process.env.PATH = PATH;
    if (CUDA_VISIBLE_DEVICES === undefined) delete process.env.CUDA_VISIBLE_DEVICES;
    else process.env.CUDA_VISIBLE_DEVICES = CUDA_VISIBLE_DEVICES;
    rmSync(folder, { recursive: true });
  });

  test("less than the machine's", () => {
    expect(() => requireMemory(() => 3.9 * 2 ** 30, device(0), 8)).not.toThrow();
    expect(() => requireMemory(() => 4.1 * 2 ** 30, device(0), 8)).toThrow(refused);
    expect(() => requireMemory(() => 4.1 * 2 ** 30, device(0), 8)).toThrow(/at most 4\.29 GB/);
  });

  test("and more than the machine's; CUDA_VISIBLE_DEVICES orders devices", () => {
    expect(() => requireMemory(() => 39 * 2 ** 30, device(1), 8)).not.toThrow();
    expect(() => requireMemory(() => 41 * 2 ** 30, device(1), 8)).toThrow(refused);
  });

  test("where nvidia-smi says nothing there is no limit", () => {
    process.env.CUDA_VISIBLE_DEVICES = "7";
    expect(() => requireMemory(() => 2 ** 50, device(0), 8)).not.toThrow();
  });
});

test("on the CPU the machine's memory is the limit, and WebAssembly's 4 GiB", () => {
  expect(() => requireMemory(() => 2 ** 20, { name: "torch", description: "" }, 8)).not.toThrow();
  expect(() => requireMemory(() => totalmem() + 1, { name: "torch", description: "" }, 8)).toThrow(refused);
  expect(() => requireMemory(() => 2 ** 32 + 1, { name: "wasm", description: "" }, 8)).toThrow(refused);
});

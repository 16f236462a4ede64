import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { findTorch } from "../scripts/findTorch.mjs";
import { findNvcc } from "../scripts/nvcc.mjs";

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "find-torch-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

function put(path: string, text = ""): void {
  mkdirSync(dirname(join(folder, path)), { recursive: true });
  writeFileSync(join(folder, path), text);
}

function putTorch(root: string, version: string, headers = "torch/headeronly"): void {
  const [major, minor, patch] = version.split(".");
  put(`${root}/lib/libtorch_cpu.so`);
  put(
    `${root}/include/${headers}/version.h`,
    `#define TORCH_VERSION_MAJOR ${major}\n#define TORCH_VERSION_MINOR ${minor}\n#define TORCH_VERSION_PATCH ${patch}\n`,
  );
}

test("LIBTORCH: version, C++ ABI and CUDA are read from its files", () => {
  putTorch("torch", "2.6.1", "torch/csrc/api/include/torch");
  put("torch/share/cmake/Torch/TorchConfig.cmake", 'set(TORCH_CXX_FLAGS "-D_GLIBCXX_USE_CXX11_ABI=0")');
  put("torch/lib/libtorch_cuda.so");
  put("torch/version.py", "cuda: Optional[str] = '12.6'\n");
  const { torch } = findTorch({ LIBTORCH: join(folder, "torch") });
  expect(torch).toMatchObject({ version: "2.6.1", abi: "0", cuda: true, cudaVersion: "12.6", from: "LIBTORCH" });
});

test("newer builds say nothing of the ABI: it is the new one", () => {
  putTorch("torch", "2.13.0");
  const { torch } = findTorch({ LIBTORCH: join(folder, "torch") });
  expect(torch).toMatchObject({ version: "2.13.0", abi: "1", cuda: false, cudaVersion: null });
});

test.each([
  ["nothing there", () => {}, /no libtorch_cpu/],
  ["a library without headers", () => put("torch/lib/libtorch_cpu.so"), /no C\+\+ headers/],
  ["too old", () => putTorch("torch", "2.5.1"), /2\.5\.1 .* older than 2\.6/],
])("%s: the reason is given", (_name, make, reason) => {
  make();
  const { torch, tried } = findTorch({ LIBTORCH: join(folder, "torch") });
  expect(torch).toBeNull();
  expect(tried.join("\n")).toMatch(reason);
});

test("a Python without torch is passed over and named", () => {
  const { tried } = findTorch({ MSWITCH_PYTHON: join(folder, "no-python"), PATH: process.env.PATH });
  expect(tried[0]).toMatch(/MSWITCH_PYTHON: .*no-python/);
});

test("nvcc: a program of that name without CUDA's headers is passed over, and one of another major version named", () => {
  const torch = { cuda: true, cudaVersion: "99.1" };
  for (const [home, version] of [
    ["wrapper", "99.0"],
    ["other", "98.3"],
    ["toolkit", "99.0"],
  ]) {
    put(`${home}/bin/nvcc`, `#!/bin/sh\necho "Cuda compilation tools, release ${version}, V${version}.1"\n`);
    chmodSync(join(folder, home, "bin", "nvcc"), 0o755);
    if (home !== "wrapper") put(`${home}/include/cuda_runtime_api.h`);
  }
  const find = (CUDA_HOME: string, CUDA_PATH: string) =>
    findNvcc(torch, { CUDA_HOME: join(folder, CUDA_HOME), CUDA_PATH: join(folder, CUDA_PATH) });
  expect(find("wrapper", "toolkit")).toEqual({ home: join(folder, "toolkit"), version: "99.0" });
  expect(find("wrapper", "other")).toEqual({ missing: expect.stringContaining(`98.3 at ${join(folder, "other")}`) });
  expect(find("wrapper", "other")).not.toEqual({ missing: expect.stringContaining("wrapper") });
});

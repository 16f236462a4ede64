import { execFileSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import * as tf from "@tensorflow/tfjs-core";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { backendNames, findBackends, loadBackend } from "./loadBackend.js";

const require = createRequire(import.meta.url);
const compiled = fileURLToPath(new URL("../../dist/backends/loadBackend.js", import.meta.url));

let directory: string;
beforeEach(() => {
  directory = realpathSync(mkdtempSync(join(tmpdir(), "mswitch-")));
});
afterEach(() => rmSync(directory, { recursive: true }));

/** Installs a package of this name and code in the working directory of a test. */
function install(name: string, code: string): string {
  const path = join(directory, "node_modules", name);
  mkdirSync(path, { recursive: true });
  writeFileSync(join(path, "package.json"), JSON.stringify({ name, version: "9.9.9", main: "index.js" }));
  writeFileSync(join(path, "index.js"), code);
  return path;
}

/** Runs code in a process of its own with the test's working directory; its last line is JSON. */
function runThere(code: string): Record<string, string> {
  const script = `import { loadBackend, findBackends } from ${JSON.stringify(compiled)};\n${code}`;
  const out = execFileSync(process.execPath, ["--input-type=module", "-e", script], {
    cwd: directory,
    encoding: "utf8",
    // What `mswitch setup` made for the user is not there.
    env: { ...process.env, XDG_CACHE_HOME: directory },
  });
  return JSON.parse(out.trim().split("\n").pop()!);
}

const describeError = `const error = await loadBackend("tfjs-node").catch((e) => e);
console.log(JSON.stringify({ name: error.name, message: error.message, hint: error.hint }));`;

describe("loadBackend", () => {
  it.each(["cpu", "wasm"] as const)("makes %s TensorFlow.js's own and says what it is", async (name) => {
    const backend = await loadBackend(name);
    expect(backend.name).toBe(name);
    expect(backend.tf.getBackend()).toBe(name);
    expect(backend.description).toContain(`@tensorflow/tfjs-backend-${name} 4`);
  });

  it("says which backends there are, and the nearest", async () => {
    await expect(loadBackend("wasn")).rejects.toMatchObject({
      code: "unknown-backend",
      exitCode: 2,
      hint: "--backend wasm",
      why: expect.stringContaining("tfjs-node-gpu, tfjs-node, wasm, cpu"),
    });
  });

  it("takes a device of libtorch by name, and says where there is none", async () => {
    const torch = (await findBackends()).find(({ name }) => name === "torch")!;
    if (torch.usable) {
      const backend = await loadBackend("torch:cpu");
      expect([backend.name, backend.tf.getBackend()]).toEqual(["torch:cpu", "torch:cpu"]);
      expect(backend.description).toMatch(/^libtorch 2\.\S+ on CPU \(.+\), \d+ threads, /);
    } else {
      await expect(loadBackend("torch:cpu")).rejects.toMatchObject({ code: "libtorch-not-found" });
    }
    await expect(loadBackend("torch:cuda:7")).rejects.toThrow(/torch/);
    await expect(loadBackend("torch:gpu")).rejects.toMatchObject({ exitCode: 2 });
  });

  it("takes the best that is there by default, and says how to get the others", async () => {
    await loadBackend("wasm");
    const findings = await findBackends();
    expect(tf.getBackend()).toBe("wasm");
    expect(findings.map(({ name }) => name)).toEqual(backendNames);
    for (const { name, usable, description } of findings) {
      if (name === "wasm" || name === "cpu") expect(usable).toBe(true);
      if (!usable) expect(description).toMatch(/to get it: /);
    }
    const best = findings.find(({ usable }) => usable);
    expect((await loadBackend()).name).toBe(best?.name);
  });

  it("leaves unhandled errors to the process, not to Emscripten", async () => {
    await loadBackend("wasm");
    const out = runThere(`await loadBackend("wasm");
      const count = (event) => String(process.listenerCount(event));
      console.log(JSON.stringify({ a: count("uncaughtException"), b: count("unhandledRejection") }));`);
    expect(out).toEqual({ a: "0", b: "0" });
  });

  it("prints nothing of its own", () => {
    for (const name of ["cpu", "wasm"]) {
      const code = `import { loadBackend } from ${JSON.stringify(compiled)};
        const { tf } = await loadBackend("${name}"); tf.matMul([[1]], [[2]]).dataSync();`;
      const args = ["--input-type=module", "-e", code, "2>&1"];
      expect(execFileSync(process.execPath, args.slice(0, 3), { encoding: "utf8", stdio: "pipe" })).toBe("");
    }
  });
});

describe("a backend of the user's own installation", () => {
  it("that is absent: how to install it", () => {
    const error = runThere(describeError);
    expect(error).toEqual({
      name: "MswitchError",
      message: "@tensorflow/tfjs-node is not installed",
      hint: "mswitch setup tfjs-node",
    });
  });

  it("whose native part is broken: where it is and why", () => {
    const path = install(
      "@tensorflow/tfjs-node",
      `throw new Error("libtensorflow.so.2: cannot open shared object file\\nmore");`,
    );
    const error = runThere(describeError);
    expect(error.message).toBe(
      `${join(path, "index.js")}: @tensorflow/tfjs-node is installed but does not load: libtensorflow.so.2: cannot open shared object file`,
    );
    expect(error.hint).toContain("mswitch setup tfjs-node");
  });

  it("that registers nothing, or does not start: so said", () => {
    install("@tensorflow/tfjs-node", "");
    expect(runThere(describeError).message).toContain('it registers no backend named "tensorflow"');
  });

  it("is found from the working directory, though it brings a second copy of tfjs-core", () => {
    // A stand-in: the cpu backend under tfjs-node's name, registered through a copy of tfjs-core of its own.
    const path = install(
      "@tensorflow/tfjs-node",
      `const tf = require("@tensorflow/tfjs-core");
       if (require.resolve("@tensorflow/tfjs-core").indexOf(__dirname) !== 0) throw new Error("not a copy");
       const { MathBackendCPU } = require("@tensorflow/tfjs-backend-cpu");
       tf.registerBackend("tensorflow", () => new MathBackendCPU());
       tf.copyRegisteredKernels("cpu", "tensorflow");`,
    );
    for (const name of ["tfjs-core", "tfjs-backend-cpu"]) {
      const from = dirname(dirname(require.resolve(`@tensorflow/${name}`)));
      const to = join(path, "node_modules", "@tensorflow", name);
      for (const part of ["package.json", "dist"]) {
        cpSync(join(from, part), join(to, part), { recursive: true, filter: (file) => !file.endsWith(".map") });
      }
    }
    for (const name of ["seedrandom", "long", "@webgpu/types"]) {
      const from = join(dirname(require.resolve("@tensorflow/tfjs-core")), "..", "..", "..", name);
      cpSync(from, join(path, "node_modules", name), { recursive: true });
    }
    const out = runThere(`const { name, description, tf } = await loadBackend("tfjs-node");
      const gradient = tf.grad((x) => tf.sum(tf.mul(x, x)))(tf.tensor1d([3])).dataSync()[0];
      console.log(JSON.stringify({ name, description, backend: tf.getBackend(), gradient }));`);
    expect(out).toEqual({
      name: "tfjs-node",
      description: "@tensorflow/tfjs-node 9.9.9",
      backend: "tensorflow",
      gradient: 6,
    });
  });
});

it("wasm works inside worker threads, several at once", async () => {
  const code = `
    import { parentPort, workerData } from "node:worker_threads";
    import(workerData.module).then(async ({ loadBackend }) => {
      const { tf } = await loadBackend("wasm");
      parentPort.postMessage(tf.matMul([[workerData.value]], [[2]]).dataSync()[0]);
    });`;
  const main = `
    import { Worker } from "node:worker_threads";
    const results = await Promise.all([1, 2, 3].map((value) => new Promise((resolve, reject) => {
      const worker = new Worker(new URL("data:text/javascript," + encodeURIComponent(${JSON.stringify(code)})), { workerData: { value, module: ${JSON.stringify(`file://${compiled}`)} } });
      worker.once("message", resolve); worker.once("error", reject);
    })));
    console.log(JSON.stringify(results));`;
  expect(runThere(main)).toEqual([2, 4, 6]);
});

// A checkpoint of a large model: fresh weights, then their file, durable and hashed. Beside it in turn, in the same run, PyTorch's normals
// and safetensors' save_file for tensors of the same shapes, with fsync and SHA-256 as ours has them, and the disk's own rate.
//   npm run bench:checkpoint                        the mT5-Small shape with 16 experts, 250,112 pieces
//   npm run bench:checkpoint -- --experts 4 --vocab 32128 --rounds 5 --folder DIR     DIR: on the disk to be measured; default .
//   --threads N (both sides)  --json
// Python with PyTorch and safetensors: MSWITCH_PYTHON, or what scripts/setup-python made.
import { spawn } from "node:child_process";
import { closeSync, fsyncSync, mkdtempSync, openSync, readdirSync, rmSync, writeSync } from "node:fs";
import { availableParallelism, cpus } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTorchThreads } from "@mswitch/tfjs-backend-torch";
import { loadBackend } from "../dist/backends/loadBackend.js";
import { saveModel } from "../dist/model/checkpoint/huggingFace.js";
import { disposeParameters, initParameters, parameterShapes } from "../dist/model/parameters.js";
import { oraclePython } from "../scripts/oraclePython.mjs";
import { parseFlags } from "../scripts/parseFlags.mjs";
import { modelConfig } from "./train/shapes.mjs";

const { values: flags } = parseFlags(import.meta.url, {
  options: {
    experts: { type: "string", default: "16" },
    vocab: { type: "string", default: "250112" },
    rounds: { type: "string", default: "3" },
    threads: { type: "string", default: String(availableParallelism()) },
    folder: { type: "string", default: "." },
    json: { type: "boolean", default: false },
  },
});
const threads = Number(flags.threads);
const config = modelConfig(`switch${flags.experts}`, { shape: "mt5-small", vocab: Number(flags.vocab) });
const shapes = [...parameterShapes(config).values()];
const values = shapes.reduce((sum, shape) => sum + shape.reduce((product, size) => product * size, 1), 0);
const bytes = 4 * values;
await loadBackend("torch");
setTorchThreads(threads);
const folder = mkdtempSync(join(flags.folder, "bench-checkpoint-"));

/** Wall and CPU seconds of some work, and what it gave. */
async function timed(work) {
  const [begin, cpu] = [performance.now(), process.cpuUsage()];
  const result = await work();
  const { user, system } = process.cpuUsage(cpu);
  return { wall: (performance.now() - begin) / 1000, cpu: (user + system) / 1e6, result };
}

/** Python's side: a line asks for work, a line answers with its seconds. */
function startPeer() {
  const program = new URL("checkpoint_peer.py", import.meta.url).pathname;
  const child = spawn(oraclePython() ?? "python3", [program, JSON.stringify({ shapes, threads, folder })], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  return {
    async ask(work) {
      child.stdin.write(`${work}\n`);
      const { value, done } = await lines.next();
      if (done) throw new Error("the Python side ended");
      return JSON.parse(value);
    },
    end: () => child.stdin.end(),
  };
}

/** The disk's: as many bytes in large pieces, then fsync. */
function writeRaw() {
  const piece = new Uint8Array(2 ** 24).fill(7);
  const path = join(folder, "raw");
  const file = openSync(path, "w");
  for (let left = bytes; left > 0; left -= piece.length) writeSync(file, piece, 0, Math.min(left, piece.length));
  fsyncSync(file);
  closeSync(file);
}

const rounds = [];
const peer = startPeer();
try {
  for (let round = 0; round < Number(flags.rounds); round++) {
    const result = {};
    const writers = {
      save: async () => {
        result.save = await timed(() => saveModel(folder, config, result.init.result));
      },
      peerSave: async () => {
        result.peerSave = await peer.ask("save");
      },
      raw: async () => {
        result.raw = await timed(writeRaw);
      },
    };
    result.init = await timed(() => initParameters(config, 1));
    result.peerInit = await peer.ask("init");
    // Each is first in its turn, and files go when all are there: memory that a virtual machine has not had yet takes much longer to fill than what another file left.
    const order = Object.values(writers);
    for (let i = 0; i < order.length; i++) await order[(round + i) % order.length]();
    disposeParameters(result.init.result);
    for (const name of readdirSync(folder)) rmSync(join(folder, name), { recursive: true });
    rounds.push(result);
  }
} finally {
  peer.end();
  rmSync(folder, { recursive: true });
}

const median = (field, of) => rounds.map((round) => round[field][of]).sort((a, b) => a - b)[rounds.length >> 1];
const result = Object.fromEntries(
  ["init", "save", "peerInit", "peerSave", "raw"].map((field) => [
    field,
    { wall: median(field, "wall"), cpu: median(field, "cpu") },
  ]),
);
if (flags.json) {
  console.log(JSON.stringify({ cpu: cpus()[0]?.model, threads, values, bytes, rounds: rounds.length, ...result }));
} else {
  const line = (what, { wall, cpu }, rate) =>
    console.log(`  ${what.padEnd(58)} ${wall.toFixed(2)} s, CPU ${cpu.toFixed(2)} s${rate(wall)}`);
  const write = (wall) => `, ${(bytes / 1e6 / wall).toFixed(0)} MB/s`;
  const draw = (wall) => `, ${(values / 1e6 / wall).toFixed(0)} M a second`;
  console.log(
    `${(values / 1e6).toFixed(0)} M weights, ${(bytes / 1e9).toFixed(2)} GB; ${cpus()[0]?.model}, ${threads} threads`,
  );
  console.log(`medians of ${rounds.length} rounds`);
  line("fresh weights: mswitch", result.init, draw);
  line("fresh weights: PyTorch's normal_", result.peerInit, draw);
  line("durable file with its SHA-256: mswitch", result.save, write);
  line("durable file with its SHA-256: safetensors' save_file", result.peerSave, write);
  line("the disk: plain writes and fsync", result.raw, write);
}
process.exit();

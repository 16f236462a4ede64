// Large CPU blocks, for memory.test.ts: node largeBlocks.mjs SCENARIO prints one JSON line. Sizes are in MiB.
import { isMainThread, parentPort, Worker } from "node:worker_threads";
import * as tf from "@tensorflow/tfjs-core";
import { setTorchThreads } from "../../dist/register.js";

await tf.setBackend("torch:cpu");
setTorchThreads(1);

const MiB = 2 ** 20;
const block = (size) => tf.fill([(size * MiB) / 4], 1);
const faults = () => process.resourceUsage().minorPageFault;
const resident = () => process.memoryUsage.rss() / MiB;

/** Takes and frees 200 MiB. */
function step() {
  tf.tidy(() => {
    const large = block(48);
    const sum = tf.add(large, tf.mul(large, large));
    block(5.5);
    return tf.add(sum, block(1.5).size);
  }).dispose();
}

/** Page faults of `count` steps after some to warm up. */
function faultsOfSteps(count) {
  for (let i = 0; i < 5; i++) step();
  const before = faults();
  for (let i = 0; i < count; i++) step();
  return faults() - before;
}

/** The same numbers for the same seed. */
function random(seed) {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

/** Blocks of any size come and go; what they take at most, and how much the process grew at most. */
function anySizes(seed, count) {
  const next = random(seed);
  const before = resident();
  const held = [];
  let size = 0;
  let most = 0;
  let grown = 0;
  for (let i = 0; i < count; i++) {
    while (held.length > 0 && (size > 300 || next() < 0.4)) {
      const [gone] = held.splice(Math.floor(next() * held.length), 1);
      size -= gone.size / (MiB / 4);
      gone.dispose();
    }
    const taken = block(Math.ceil((1 + 40 * next() ** 3) * 64) / 64);
    held.push(taken);
    size += taken.size / (MiB / 4);
    most = Math.max(most, size);
    grown = Math.max(grown, resident() - before);
  }
  const right = held.every((tensor) => tensor.dataSync().every((value) => value === 1));
  for (const tensor of held) tensor.dispose();
  return { most, grown, right };
}

/** A worker thread that says when it is done, and ends with a block alive. */
async function worker(scenario) {
  const thread = new Worker(new URL(import.meta.url), { argv: [scenario] });
  const [result] = await Promise.all([
    new Promise((resolve, reject) => thread.on("message", resolve).on("error", reject)),
    new Promise((resolve) => thread.on("exit", resolve)),
  ]);
  return result;
}

const scenarios = {
  again: () => ({ faults: faultsOfSteps(30) }),
  anySizes: () => anySizes(1, 500),

  /** Every second of 64 pieces is free when a block larger than each of them comes. */
  pieces() {
    const before = resident();
    const pieces = Array.from({ length: 64 }, () => block(4));
    const full = resident() - before;
    for (const [i, piece] of pieces.entries()) if (i % 2 === 1) piece.dispose();
    block(120);
    return { full, after: resident() - before };
  },

  /** Threads that end with blocks alive leave them to the next. */
  async workers() {
    const together = await Promise.all([worker("inWorker"), worker("inWorker")]);
    const before = faults();
    step();
    return { together, faults: faults() - before };
  },
  inWorker() {
    block(100);
    return anySizes(2, 50);
  },

  tooLarge() {
    block(300).dispose();
    try {
      return tf.fill([2 ** 23, 2 ** 23], 1);
    } catch ({ message }) {
      return { message, faults: faultsOfSteps(10) };
    }
  },
};

const result = await scenarios[process.argv[2]]();
if (isMainThread) console.log(JSON.stringify(result));
else parentPort.postMessage(result);

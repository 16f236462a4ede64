// A tiny training loop for the life-cycle tests: node tinyTraining.mjs STEPS [throw | exit | wait]
// Prints one JSON line: memory after a warm-up of half the steps and at the end, in counts and bytes of resident memory.
import * as tf from "@tensorflow/tfjs-core";
import { setTorchThreads } from "../../dist/register.js";
import { registerGradients } from "./gradients.mjs";

const steps = Number(process.argv[2]);
const ending = process.argv[3];

await tf.setBackend("torch:cpu");
setTorchThreads(1);

const width = 16;
registerGradients();
const start = tf.randomNormal([width, width]);
const weights = tf.variable(start);
start.dispose();
const batch = Float32Array.from({ length: 8 * width }, (_, i) => Math.sin(i));
const optimizer = tf.train.adam(1e-3);

/** One step: matrix product, views, gather, gradients, the optimizer, and an error that is caught. */
function step() {
  return tf.tidy(() => {
    const x = tf.tensor2d(batch, [8, width]);
    const order = tf.tensor1d([7, 6, 5, 4, 3, 2, 1, 0], "int32");
    const loss = optimizer.minimize(() => {
      const hidden = tf.tanh(tf.reshape(tf.transpose(tf.matMul(tf.gather(x, order), weights)), [8, width]));
      return tf.sum(tf.square(hidden));
    }, true);
    try {
      const [a, b] = [tf.zeros([2, 3]), tf.zeros([2, 3])];
      tf.engine().runKernel("BatchMatMul", { a, b }, { transposeA: false, transposeB: false });
    } catch {
      // What was made before the error is freed with the scope.
    }
    return loss.dataSync()[0];
  });
}

function memory() {
  globalThis.gc?.();
  const { numTensors, numDataBuffers, numBytes, torchTensors, torchBytes } = tf.memory();
  return { numTensors, numDataBuffers, numBytes, torchTensors, torchBytes, rss: process.memoryUsage.rss() };
}

for (let i = 0; i < steps / 2; i++) step();
const before = memory();
for (let i = 0; i < steps; i++) step();
const after = memory();
console.log(JSON.stringify({ before, after }));

if (ending === "throw") throw new Error("thrown on purpose");
if (ending === "exit") process.exit(0);
if (ending === "wait") setInterval(step, 1);

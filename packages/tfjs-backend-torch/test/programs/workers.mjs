// Several worker threads that train at once, each with its own backend; one of them is stopped halfway. Prints the others' results.
import { isMainThread, parentPort, Worker, workerData } from "node:worker_threads";

if (isMainThread) {
  const self = new URL(import.meta.url);
  const run = (seed) =>
    new Promise((resolve, reject) => {
      const worker = new Worker(self, { workerData: { seed } });
      worker.on("message", resolve);
      worker.on("error", reject);
    });
  const endless = new Worker(self, { workerData: { seed: -1 } });
  await new Promise((resolve) => endless.once("message", resolve));
  const results = await Promise.all([run(1), run(2), run(1)]);
  await endless.terminate();
  // The addon is loaded once more after workers have come and gone.
  const again = await run(2);
  console.log(JSON.stringify([...results, again]));
} else {
  const tf = await import("@tensorflow/tfjs-core");
  const { setTorchThreads } = await import("../../dist/register.js");
  await tf.setBackend("torch:cpu");
  setTorchThreads(1);
  const work = (seed, count) => {
    let value = seed;
    for (let i = 0; i < count; i++) {
      value = tf.tidy(() => {
        const x = tf.fill([32, 32], value / 1000);
        const share = tf.sum(tf.softmax(tf.matMul(x, x, false, true)));
        return tf.add(tf.div(share, 32 + seed), value / 2).dataSync()[0];
      });
    }
    return { value, torchTensors: tf.memory().torchTensors };
  };
  if (workerData.seed < 0) {
    parentPort.postMessage("started");
    for (;;) {
      work(1, 100);
      await new Promise((resolve) => setImmediate(resolve));
    }
  }
  parentPort.postMessage(work(workerData.seed, 300));
}

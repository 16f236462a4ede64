// One rank of a process group: node collectives.mjs RANK SIZE PORT TASK. Prints one JSON document, or the error's message.
import * as tf from "@tensorflow/tfjs-core";
import { joinProcessGroup } from "../../dist/distributed.js";
import "../../dist/register.js";

const [rank, size, port] = process.argv.slice(2, 5).map(Number);
const task = process.argv[5];
await tf.setBackend("torch");

const options = { rank, worldSize: size, host: "127.0.0.1", port, timeoutSeconds: task === "all" ? 60 : 3 };

const tasks = {
  async all(group) {
    const results = {};
    const mine = tf.tensor2d([[rank + 1, 10 * (rank + 1)]]);
    const many = [tf.tensor1d([rank, 1]), tf.fill([3], rank + 0.5)];
    await group.allReduce(many);
    results.sums = many.map((tensor) => [...tensor.dataSync()]);
    await group.allReduce([mine], { factor: 1 / size });
    results.mean = [...mine.dataSync()];
    const largest = tf.tensor1d([rank, -rank]);
    await group.allReduce([largest], { op: "max" });
    results.largest = [...largest.dataSync()];
    const gathered = tf.zeros([size]);
    await group.allGather(gathered, tf.tensor1d([rank * rank]));
    results.gathered = [...gathered.dataSync()];
    const part = tf.zeros([1]);
    await group.reduceScatter(part, tf.range(0, size));
    results.part = [...part.dataSync()];
    const equal = tf.zeros([size, 1], "int32");
    await group.allToAll(
      equal,
      tf.tensor2d(
        Array.from({ length: size }, (_, to) => [10 * rank + to]),
        undefined,
        "int32",
      ),
    );
    results.equal = [...equal.dataSync()];
    // Rank r sends r + 1 rows to each rank.
    const sentRows = size * (rank + 1);
    const receive = Array.from({ length: size }, (_, from) => from + 1);
    const unequal = tf.zeros([(size * (size + 1)) / 2, 2]);
    await group.allToAll(unequal, tf.fill([sentRows, 2], rank), { receive, send: new Array(size).fill(rank + 1) });
    results.unequal = [...unequal.dataSync()];
    const told = tf.tensor1d([rank]);
    const toldToo = tf.tensor1d([rank, rank + 1], "int32");
    await group.broadcast([told], size - 1);
    await group.broadcast([toldToo], 1);
    results.told = [told, toldToo].map((tensor) => [...tensor.dataSync()]);
    const table = tf.fill([3, 2], rank + 1);
    const whole = tf.fill([3], rank);
    // Of a tensor that is not contiguous rows are elsewhere.
    const turned = tf.transpose(tf.add(tf.reshape(tf.range(0, 6), [2, 3]), rank));
    const rowOf = (tensor, begin) => ({ tensor, begin, rows: 1 });
    await group.reduce([rowOf(table, 1), whole, rowOf(turned, 2)], 1);
    // What the others have of it is of no use.
    results.reduced = rank === 1 ? [table, whole, turned].map((tensor) => [...tensor.dataSync()]) : null;
    const told3 = tf.fill([3], rank);
    await group.broadcast([told3, rowOf(table, 2)], 1, [tf.tensor1d([7, 8, 9]), tf.tensor2d([[5, 6]])]);
    results.parts = [...told3.dataSync(), ...tf.slice(table, [2, 0], [1, 2]).dataSync()];
    const low = await group.subgroup([0, 1]);
    const high = await group.subgroup([size - 1]);
    const within = tf.tensor1d([rank + 1]);
    if (low) await low.allReduce([within]);
    results.within = [...within.dataSync()];
    results.groups = [low?.rank ?? null, high?.rank ?? null];
    const x = tf.add(tf.range(0, size), 10 * rank);
    results.blocking = Object.fromEntries(
      ["sum", "max", "exchange", "gather"].map((kind) => [kind, [...group.blocking(kind, x).dataSync()]]),
    );
    const half = (y) => tf.engine().runKernel("TorchPrecision", { x: y }, { precision: "bfloat16" });
    results.bfloat16 = [...group.blocking("exchange", half(x)).dataSync()];
    results.traffic = group.traffic().filter(({ kind, group: id }) => kind === "all-to-all" && id === 0);
    await group.barrier();
    return results;
  },
  async dies(group) {
    if (rank === 1) process.kill(process.pid, "SIGKILL");
    await group.allReduce([tf.ones([1000])]);
  },
  async stalls(group) {
    if (rank === 1) await new Promise((resolve) => setTimeout(resolve, 10_000));
    await group.allReduce([tf.ones([1000])]);
  },
  async never() {},
};

try {
  const group = await joinProcessGroup(options);
  console.log(JSON.stringify((await tasks[task](group)) ?? null));
  group.close();
} catch (error) {
  console.log(JSON.stringify({ error: error.message }));
  process.exit(1);
}

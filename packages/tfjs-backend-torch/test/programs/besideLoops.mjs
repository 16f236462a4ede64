// Two threads multiply small matrices for two seconds beside two busy loops. Prints the cores that this process's threads may use, before and after.
import { spawn } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import * as tf from "@tensorflow/tfjs-core";
import { setTorchThreads } from "../../dist/register.js";

const allowed = () => {
  const status = (id) => readFileSync(`/proc/self/task/${id}/status`, "utf8");
  return [...new Set(readdirSync("/proc/self/task").map((id) => /Cpus_allowed_list:\s*(\S+)/.exec(status(id))[1]))];
};
await tf.setBackend("torch:cpu");
setTorchThreads(2);
const before = allowed();
const loops = [1, 2].map(() => spawn(process.execPath, ["-e", "for (;;);"]));
try {
  const x = tf.fill([512, 256], 1 / 256);
  const w = tf.fill([256, 256], 1);
  for (const end = Date.now() + 2000; Date.now() < end; ) tf.tidy(() => tf.matMul(x, w).dataSync());
} finally {
  for (const loop of loops) loop.kill("SIGKILL");
}
console.log(JSON.stringify({ before, after: allowed() }));

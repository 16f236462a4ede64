// A model in a process of its own, which answers each command with one line of JSON.
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const here = (name) => fileURLToPath(new URL(name, import.meta.url));

/**
 * Starts a child and waits until its model stands.
 * @returns { info, ask(command), end() }; `ask` rejects where the child dies or is silent for `limitSeconds`, and ends it
 */
async function start(program, args, limitSeconds) {
  const child = spawn(program, args, { stdio: ["pipe", "pipe", "pipe"] });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  let complaints = "";
  child.stderr.setEncoding("utf8").on("data", (text) => {
    complaints = (complaints + text).slice(-2000);
  });
  const failure = new Promise((_, reject) => child.on("error", reject));
  failure.catch(() => {});
  // A child that died takes no more lines: its end is found by reading.
  child.stdin.on("error", () => {});
  const answer = async () => {
    const timer = setTimeout(() => {
      complaints = `no answer within ${limitSeconds} s`;
      child.kill("SIGKILL");
    }, limitSeconds * 1e3);
    try {
      const { value, done } = await Promise.race([lines.next(), failure]);
      if (!done) return JSON.parse(value);
      const lastWords = complaints.trim().split("\n").filter(Boolean).at(-1) ?? "ended without a word";
      throw new Error(`${program} ${args[0]}: ${lastWords.slice(0, 300)}`);
    } finally {
      clearTimeout(timer);
    }
  };
  return {
    info: await answer(),
    ask(command) {
      child.stdin.write(`${command}\n`);
      return answer();
    },
    end() {
      child.stdin.end("end\n");
      return new Promise((resolve) => (child.exitCode === null ? child.on("exit", resolve) : resolve()));
    },
  };
}

const stepLimit = 900;

/** Our model on a TensorFlow.js backend. */
export function startOurs(options) {
  return start(process.execPath, [here("ours.mjs"), JSON.stringify(options)], stepLimit);
}

/** Transformers' model. A first step under torch.compile compiles for minutes. */
export function startTransformers(python, options) {
  return start(python, [here("huggingFace.py"), JSON.stringify(options)], stepLimit);
}

/** A child's next `count` steps alone. */
export async function warmUp(child, count) {
  for (let i = 0; i < count; i++) await child.ask("step");
}

/** `rounds` steps of each child in turn, so that noise of the machine hits all alike. @returns each child's steps */
export async function stepsInTurn(children, rounds) {
  const steps = children.map(() => []);
  for (let round = 0; round < rounds; round++) {
    for (const [i, child] of children.entries()) steps[i].push(await child.ask("step"));
  }
  return steps;
}

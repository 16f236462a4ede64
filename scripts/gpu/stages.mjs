// Runs a check's parts with time limits, so that whatever happens to one leaves time for the next.
import { spawn } from "node:child_process";
import { createWriteStream } from "node:fs";
import { join } from "node:path";

const started = Date.now();
const seconds = (since) => Math.round((Date.now() - since) / 1000);

/** Seconds since this program began. */
export const elapsed = () => seconds(started);

/**
 * @param folder where each stage's output goes, as `<name>.log`
 * @returns `stage(name, limit, command, env)`, which runs a command for `limit` seconds at most and resolves to { name, status,
 * output }; status 124: ended at its limit, first by SIGTERM, a minute later by SIGKILL; and `results`, all that have ended
 */
export function stageRunner(folder) {
  const results = [];
  function stage(name, limit, [program, ...args], env = {}) {
    const began = Date.now();
    return new Promise((done) => {
      const log = createWriteStream(join(folder, `${name.replaceAll(/[^\w.-]+/g, "-")}.log`));
      const child = spawn(program, args, { stdio: ["ignore", "pipe", "pipe"], env: { ...process.env, ...env } });
      let output = "";
      let ended = false;
      for (const stream of [child.stdout, child.stderr]) {
        stream.setEncoding("utf8").on("data", (text) => {
          output = (output + text).slice(-200_000);
          log.write(text);
        });
      }
      const stop = (signal) => {
        ended = true;
        child.kill(signal);
      };
      const timers = [setTimeout(stop, limit * 1e3, "SIGTERM"), setTimeout(stop, (limit + 60) * 1e3, "SIGKILL")];
      const finish = (status) => {
        for (const timer of timers) clearTimeout(timer);
        log.end();
        const result = { name, status: ended ? 124 : status, output };
        results.push(result);
        const how = { 0: "passed", 124: "stopped at its limit" }[result.status] ?? `FAILED (${result.status})`;
        console.log(`== ${name}: ${how}, ${seconds(began)} s (at ${elapsed()} s)`);
        done(result);
      };
      child.on("error", (error) => {
        output += `${error.message}\n`;
        finish(127);
      });
      child.on("close", (status) => finish(status ?? 1));
    });
  }
  return { stage, results };
}

/** The last lines of an output. */
export const lastLines = (text, count) => text.trimEnd().split("\n").slice(-count).join("\n");

/** Runs tasks, `width` at a time. */
export async function sideBySide(tasks, width) {
  const queue = [...tasks];
  await Promise.all(
    Array.from({ length: width }, async () => {
      while (queue.length > 0) await queue.shift()();
    }),
  );
}

import { spawn, spawnSync } from "node:child_process";

/** Whether a command can be held to the first cores, as util-linux's taskset does it. */
export const canPin = spawnSync("taskset", ["-c", "0", "true"]).status === 0;

/** Runs a command to its end, on the first `cores` cores where that can be had. CPU seconds are those of the command and of all that it waited for, as the shell's `time` counts them. */
export function runTimed(command, cores) {
  return new Promise((resolve, reject) => {
    // The shell's own words come last on stderr.
    const script = 'TIMEFORMAT="%U %S %R"; time "$@"';
    const child = spawn(
      "bash",
      ["-c", script, "bash", ...(canPin ? ["taskset", "-c", `0-${cores - 1}`] : []), ...command],
      {
        stdio: ["ignore", "pipe", "pipe"],
        env: { ...process.env, LC_ALL: "C" },
      },
    );
    let stdout = "";
    let stderr = "";
    child.stdout.on("data", (chunk) => (stdout += chunk));
    child.stderr.on("data", (chunk) => (stderr += chunk));
    child.on("error", reject);
    child.on("close", (code) => {
      const lines = stderr.trimEnd().split("\n");
      const [user, system, wall] = lines.pop().split(" ").map(Number);
      // 3: done, with some input set aside.
      if (code === 0 || code === 3) resolve({ stdout, cpu: user + system, wall });
      else reject(new Error(lines.pop() || `${command[0]} ended with ${code}`));
    });
  });
}

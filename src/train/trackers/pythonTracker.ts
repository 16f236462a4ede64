import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import * as z from "zod";
import { writeFileAtomic } from "../../base/atomicFile.js";
import { packageRoot } from "../../base/builtCode.js";
import { messageOf, usageError } from "../../base/errors.js";
import type { Log } from "../../base/log.js";
import type { HyperParameters, Tracker } from "./tracker.js";

const name = z.string().min(1);

/** Trackers whose Python packages the user has installed, by the section of a run's file. All keys are the packages' own. */
export const trackersSchema = z.strictObject({
  wandb: z
    .strictObject({
      project: name.default("mswitch"),
      entity: name.optional(),
      group: name.optional(),
      mode: z
        .enum(["online", "offline"])
        .optional()
        .describe("`offline` keeps the run in RUN/wandb until `wandb sync`."),
    })
    .nullish()
    .describe("Weights & Biases: `pip install wandb`, and `wandb login` or `mode: offline`."),
  mlflow: z
    .strictObject({
      experiment: name.default("mswitch"),
      uri: name.optional().describe("Of the tracking server or store; MLFLOW_TRACKING_URI where left out."),
    })
    .nullish()
    .describe("MLflow: `pip install mlflow`."),
  trackio: z
    .strictObject({ project: name.default("mswitch"), space_id: name.optional() })
    .nullish()
    .describe("trackio: `pip install trackio`."),
});
export type TrackersConfig = z.infer<typeof trackersSchema>;

export interface PythonTrackerOptions {
  /** The run's name, as the tracker shows it. */
  name: string;
  /** Run directory: trackers.json in it keeps what each tracker calls the run, so that a run that goes on stays one. */
  directory: string;
  hyperParameters: HyperParameters;
  log: Log;
}

/** Seconds that a tracker has to send what it has not sent yet when the run ends. */
const endSeconds = 120;

const idsSchema = z.record(z.string(), z.string());
const answerSchema = z.union([z.strictObject({ id: z.string() }), z.strictObject({ error: z.string() })]);

/**
 * Starts the trackers of a run, each in a Python process of its own (`python/track.py`) by the Python that MSWITCH_PYTHON names, or
 * `python3`. One that ends or falls behind later costs its measurements, with a warning, and never the training.
 *
 * @throws usageError `tracker-not-usable` where a package is missing or refuses the run
 */
export async function startPythonTrackers(
  trackers: TrackersConfig,
  { name, directory, hyperParameters, log }: PythonTrackerOptions,
): Promise<Tracker[]> {
  const idsFile = join(directory, "trackers.json");
  const ids = existsSync(idsFile) ? idsSchema.parse(JSON.parse(await readFile(idsFile, "utf8"))) : {};
  const started: Tracker[] = [];
  try {
    for (const [tracker, options] of Object.entries(trackers)) {
      if (!options) continue;
      const first = { tracker, options, name, directory, id: ids[tracker] ?? null, config: hyperParameters };
      const { id, ...rest } = await startTracker(tracker, first, log);
      started.push(rest);
      ids[tracker] = id;
    }
  } catch (error) {
    await Promise.all(started.map((tracker) => tracker.close()));
    throw error;
  }
  if (started.length > 0) await writeFileAtomic(idsFile, `${JSON.stringify(ids, null, 2)}\n`);
  return started;
}

async function startTracker(tracker: string, first: object, log: Log): Promise<Tracker & { id: string }> {
  const python = process.env.MSWITCH_PYTHON ?? "python3";
  const program = fileURLToPath(new URL("python/track.py", packageRoot));
  const child = spawn(python, [program], { stdio: ["pipe", "pipe", "pipe"] });
  let failure: unknown;
  const ended = once(child, "close").catch((error: unknown) => {
    failure = error;
  });
  let lastWords = "";
  createInterface({ input: child.stderr }).on("line", (line) => {
    if (line.trim() !== "") lastWords = line;
    log.info(`[${tracker}] ${line}`);
  });
  let isGone = false;
  const gone = (): void => {
    if (!isGone) log.warn(`${tracker} takes no more measurements: ${lastWords || "its process ended"}`);
    isGone = true;
  };
  child.stdin.on("error", gone);
  child.stdin.write(`${JSON.stringify(first)}\n`);
  const lines = createInterface({ input: child.stdout });
  const [answer] = (await Promise.race([once(lines, "line"), ended.then(() => [])])) as [string?];
  const parsed = answerSchema.safeParse(answer && JSON.parse(answer));
  if (!parsed.success || "error" in parsed.data) {
    const why = parsed.success && "error" in parsed.data ? parsed.data.error : failure ? messageOf(failure) : lastWords;
    throw usageError(`${tracker} does not take the run`, {
      code: "tracker-not-usable",
      where: `trackers.${tracker}`,
      why: why.split("\n")[0],
      hint: `${python} -m pip install ${tracker} (MSWITCH_PYTHON names another Python), log in there, or --set trackers.${tracker}=null`,
    });
  }
  return {
    id: parsed.data.id,
    async scalars(step, values) {
      if (!isGone) child.stdin.write(`${JSON.stringify({ step, values })}\n`);
    },
    async close() {
      child.stdin.end();
      const late = setTimeout(() => {
        log.warn(`${tracker} has not ended after ${endSeconds} s: it is stopped, the last measurements may be missing`);
        child.kill("SIGKILL");
      }, endSeconds * 1000);
      await ended;
      clearTimeout(late);
      if (child.exitCode !== 0) gone();
    },
  };
}

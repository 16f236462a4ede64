import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { basename, dirname, isAbsolute, join, relative, resolve } from "node:path";
import { parse } from "yaml";
import { manifestFile } from "../../dataset/format/buildManifest.js";
import { runFile } from "../../run/runFiles.js";

/**
 * Where the run of a run directory's own `config.yaml` and its dataset are now. The file names both as they were when it was written; the
 * directory may have been renamed, copied or moved since, alone or together with its dataset. The run is where the file is. The dataset
 * is where it lies as seen from there, as before, where one is there; else it is where the file says.
 *
 * @returns undefined for any other file
 */
export async function whereItLies(file: string): Promise<{ run: string; dataset: string } | undefined> {
  const run = dirname(resolve(file));
  if (basename(file) !== runFile.config || !existsSync(join(run, runFile.description))) return undefined;
  const text = await readFile(file, "utf8").catch(() => "");
  const written = pathsOf(text);
  if (!written) return undefined;
  const beside = join(run, relative(written.run, written.dataset));
  return { run, dataset: existsSync(join(beside, manifestFile)) ? beside : written.dataset };
}

function pathsOf(text: string): { run: string; dataset: string } | undefined {
  let value: unknown;
  try {
    value = parse(text);
  } catch {
    // Its faults are named where it is read for good.
    return undefined;
  }
  const { run, dataset } = (value ?? {}) as Record<string, unknown>;
  const isPath = (path: unknown): path is string => typeof path === "string" && isAbsolute(path);
  return isPath(run) && isPath(dataset) ? { run, dataset } : undefined;
}

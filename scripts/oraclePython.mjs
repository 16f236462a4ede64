import { existsSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";

/** The Python that has the peers: MSWITCH_PYTHON, or that of the environment that scripts/setup-python makes; undefined if neither. */
export function oraclePython() {
  if (process.env.MSWITCH_PYTHON) return process.env.MSWITCH_PYTHON;
  const venv =
    process.env.MSWITCH_VENV ?? join(process.env.XDG_CACHE_HOME ?? join(homedir(), ".cache"), "mswitch", "oracles");
  const python = join(venv, "bin", "python");
  return existsSync(python) ? python : undefined;
}

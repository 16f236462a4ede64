// Random tests with a new seed each time, and many more cases: property tests, mutated shards, killed preprocessing.
//   npm run soak                       all; `-- src/stream` only what vitest takes for that
//   MSWITCH_SEED=N npm run soak        a seed again, as a failure names it
import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

const seed = process.env.MSWITCH_SEED ?? String(Date.now() % 2 ** 31);
const isRandom = (path) => /fast-check|MSWITCH_(?:MUTANTS|KILLS)/.test(readFileSync(path, "utf8"));
const tests = ["src", "test"]
  .flatMap((folder) => readdirSync(folder, { recursive: true }).map((file) => join(folder, file)))
  .filter((path) => path.endsWith(".test.ts") && isRandom(path));
const chosen = process.argv.slice(2);
const vitest = join("node_modules", "vitest", "vitest.mjs");
console.error(`MSWITCH_SEED=${seed}`);
const { status } = spawnSync(
  process.execPath,
  [vitest, "run", "--testTimeout=3600000", ...(chosen.length ? chosen : tests)],
  {
    stdio: "inherit",
    env: { MSWITCH_RUNS: "2000", MSWITCH_MUTANTS: "2000", MSWITCH_KILLS: "100", ...process.env, MSWITCH_SEED: seed },
  },
);
if (status !== 0) console.error(`again with the same cases: MSWITCH_SEED=${seed} npm run soak`);
process.exit(status ?? 1);

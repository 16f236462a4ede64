// Every id against the Python package `sentencepiece`: all documents of a corpus, and hostile ones made of its words.
// usage: npm run oracle:tokens [-- --model FILE]... [--corpus DIR] [--fuzz N]   (after npm run build)
// By default the shipped vocabulary and sample, and 20,000 hostile documents. Exits with 1 if any differs. Python, with sentencepiece
// 0.2.2: MSWITCH_PYTHON, or what scripts/setup-python made.
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { oraclePython } from "../../scripts/oraclePython.mjs";
import { parseFlags } from "../../scripts/parseFlags.mjs";

const root = fileURLToPath(new URL("../..", import.meta.url));
const { values } = parseFlags(import.meta.url, {
  options: {
    model: { type: "string", multiple: true, default: [join(root, "vocab/sample.model")] },
    corpus: { type: "string", default: join(root, "data/sample") },
    fuzz: { type: "string", default: "20000" },
  },
});
const python = oraclePython() ?? "python3";
const compare = join(root, "vocab/oracle/compare_tokens.py");
let failed = false;
for (const model of values.model) {
  for (const kind of [[], ["--fuzz", values.fuzz]]) {
    const { status } = spawnSync(python, [compare, model, ...kind, values.corpus], { stdio: "inherit" });
    if (status !== 0) failed = true;
  }
}
process.exit(failed ? 1 : 0);

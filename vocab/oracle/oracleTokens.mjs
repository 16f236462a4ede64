// Every id against the Python package `sentencepiece`: all documents of a corpus, and 20,000 hostile ones made of its words.
// usage: npm run oracle:tokens [-- CORPUS MODEL...]   (after npm run build; a Python with sentencepiece in MSWITCH_PYTHON)
// Without arguments: the sample and its model. Exits with 1 if any document differs.
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../..", import.meta.url));
const [corpus = join(root, "data/sample"), ...models] = process.argv.slice(2);
const python = process.env.MSWITCH_PYTHON ?? "python3";
const compare = join(root, "vocab/oracle/compare_tokens.py");
let failed = false;
for (const model of models.length > 0 ? models : [join(root, "vocab/sample.model")]) {
  for (const kind of [[], ["--fuzz", "20000"]]) {
    const { status } = spawnSync(python, [compare, model, ...kind, corpus], { stdio: "inherit" });
    if (status !== 0) failed = true;
  }
}
process.exit(failed ? 1 : 0);

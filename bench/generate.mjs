// How fast texts are generated, greedily: ours on the torch backend, and Transformers' generate on the same CPU, in one run, in turn, each
// with all threads, float32, mT5-Small's shape with random weights.
// usage: npm run bench:generate -- [--batches 1,8] [--tokens 64] [--source 64] [--rounds 5]   (after npm run build)
// Python: MSWITCH_PYTHON, or what scripts/setup-python made. Prints medians in milliseconds a token (of all rows), and whether both wrote the
// same tokens.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { loadBackend } from "../dist/backends/loadBackend.js";
import { loadModel } from "../dist/model/checkpoint/huggingFace.js";
import { generateIds } from "../dist/model/generate/generateIds.js";
import { oraclePython } from "../scripts/oraclePython.mjs";
import { parseFlags } from "../scripts/parseFlags.mjs";
import { medianInTurn } from "./median.mjs";

const { values } = parseFlags(import.meta.url, {
  options: {
    batches: { type: "string", default: "1,8" },
    tokens: { type: "string", default: "64" },
    source: { type: "string", default: "64" },
    rounds: { type: "string", default: "5" },
  },
});
const [tokens, sourceLength, rounds] = [values.tokens, values.source, values.rounds].map(Number);
const shape = {
  vocab_size: 250112,
  d_model: 512,
  d_kv: 64,
  d_ff: 1024,
  num_layers: 8,
  num_decoder_layers: 8,
  num_heads: 6,
  feed_forward_proj: "gated-gelu",
  tie_word_embeddings: false,
  decoder_start_token_id: 0,
};

const folder = mkdtempSync(join(tmpdir(), "mswitch-bench-"));
const script = fileURLToPath(new URL("generate_peer.py", import.meta.url));
const peer = spawn(oraclePython() ?? "python3", [script, folder, JSON.stringify(shape)], {
  stdio: ["pipe", "pipe", "ignore"],
});
try {
  const answers = createInterface({ input: peer.stdout })[Symbol.asyncIterator]();
  const answer = async () => {
    const { value, done } = await answers.next();
    if (done) throw new Error("the Python side ended: is Transformers installed there?");
    return JSON.parse(value);
  };
  const { threads, torch } = await answer();
  await loadBackend("torch");
  const { config, params } = await loadModel(folder);
  console.log(`mT5-Small's shape, ${tokens} tokens, sources of ${sourceLength}, ${threads} threads, PyTorch ${torch}`);

  for (const batch of values.batches.split(",").map(Number)) {
    // Any ids but padding and the end of sequence.
    const inputs = Array.from({ length: batch }, (_, row) =>
      Array.from({ length: sourceLength }, (_, i) => 3 + ((row * 7919 + i * 104729) % 250000)),
    );
    let [ours, theirs] = [[], []];
    const sides = [
      async () => {
        const started = performance.now();
        const written = await generateIds(config, params, inputs, { maxNewTokens: tokens, batchSize: batch });
        ours = written.map(({ ids }) => [...ids]);
        return (performance.now() - started) / tokens;
      },
      async () => {
        peer.stdin.write(`${JSON.stringify({ inputs, tokens })}\n`);
        const { seconds, ids } = await answer();
        theirs = ids;
        return (seconds * 1000) / tokens;
      },
    ];
    // Once for warmth.
    for (const side of sides) await side();
    const [mine, other] = await medianInTurn(sides, rounds);
    const same = JSON.stringify(ours) === JSON.stringify(theirs) ? "the same tokens" : "OTHER TOKENS";
    console.log(
      `batch ${batch}: mswitch ${mine.toFixed(1)} ms a token, Transformers ${other.toFixed(1)}: ${(other / mine).toFixed(2)} times as fast, ${same}`,
    );
  }
} finally {
  peer.stdin.end();
  if (peer.exitCode === null) await once(peer, "close");
  rmSync(folder, { recursive: true });
}

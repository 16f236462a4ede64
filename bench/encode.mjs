// The encoder against sentencepiece-js, MB of UTF-8 text per CPU second, in turn in one process.
//   node bench/encode.mjs [MODEL] [DIRECTORY OF SHARDS]      default: the shipped vocabulary and sample
// Against the Python package: python vocab/oracle/compare_tokens.py MODEL SHARDS prints both speeds.
import { fileURLToPath } from "node:url";
import { silentLog } from "../dist/base/log.js";
import { discoverShards } from "../dist/corpus/discoverShards.js";
import { readDocuments } from "../dist/corpus/readDocuments.js";
import { createEncoder } from "../dist/vocab/createEncoder.js";
import { createLibraryEncoder } from "../dist/vocab/libraryEncoder.js";
import { cpuSeconds, medianInTurn } from "./median.mjs";

const shipped = (path) => fileURLToPath(new URL(`../${path}`, import.meta.url));
const [model = shipped("vocab/sample.model"), source = shipped("data/sample")] = process.argv.slice(2);

const texts = [];
for (const shard of await discoverShards([source], { splits: ["validation"] })) {
  for await (const { documents } of readDocuments(shard.path)) texts.push(...documents.map(({ text }) => text));
}
const megabytes = texts.reduce((sum, text) => sum + text.length, 0) / 1e6;
const encodeAll = (encoder) => () => cpuSeconds(() => texts.forEach((text) => void encoder.encode(text)));

const ours = await createEncoder(model, silentLog);
const peer = await createLibraryEncoder(model);
const [oursSeconds, peerSeconds] = await medianInTurn([encodeAll(ours), encodeAll(peer)], 5);
const speed = (seconds) => `${(megabytes / seconds).toFixed(1)} MB/s`;
console.log(`encode, ${megabytes.toFixed(1)} MB in ${texts.length} documents, medians of 5 rounds`);
console.log(`  mswitch          ${speed(oursSeconds)}`);
console.log(`  sentencepiece-js ${speed(peerSeconds)}`);
console.log(`  ratio            ${(peerSeconds / oursSeconds).toFixed(2)}`);

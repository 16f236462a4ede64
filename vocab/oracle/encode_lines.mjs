// The Node side of compare_tokens.py: encodes every document of a file with the compiled encoder, and decodes it again.
// usage: node encode_lines.mjs MODEL DOCUMENTS IDS TEXTS
// DOCUMENTS, IDS and TEXTS are records, each a 32-bit length in little endian and so many bytes (of IDS: 32-bit integers).
import { readFileSync, writeFileSync } from "node:fs";
import { createDecoder } from "../../dist/vocab/createDecoder.js";
import { createEncoder } from "../../dist/vocab/createEncoder.js";

const [model, documents, idsPath, textsPath] = process.argv.slice(2);
const started = process.cpuUsage();
const encoder = await createEncoder(model);
const decoder = createDecoder(model);
const loading = seconds(process.cpuUsage(started));

const input = readFileSync(documents);
const view = new DataView(input.buffer, input.byteOffset, input.length);
const ids = [];
let bytes = 0;
const before = process.cpuUsage();
for (let at = 0; at < input.length; ) {
  const length = view.getUint32(at, true);
  ids.push(encoder.encode(input.subarray(at + 4, at + 4 + length)).slice());
  at += 4 + length;
  bytes += length;
}
const encoding = seconds(process.cpuUsage(before));
writeFileSync(idsPath, Buffer.concat(ids.map((list) => record(Buffer.from(list.buffer)))));
writeFileSync(textsPath, Buffer.concat(ids.map((list) => record(Buffer.from(decoder.decode(list))))));
process.stdout.write(JSON.stringify({ bytes, loadSeconds: loading, encodeSeconds: encoding }));

/** CPU time of all threads, the garbage collector's and the compiler's too. */
function seconds({ user, system }) {
  return (user + system) / 1e6;
}

function record(data) {
  const head = Buffer.alloc(4);
  head.writeUInt32LE(data.length);
  return Buffer.concat([head, data]);
}

// The Node side of compare_tokens.py: encodes every document of a file with the compiled encoder, and decodes it again.
// usage: node encode_lines.mjs MODEL DOCUMENTS IDS TEXTS
// DOCUMENTS, IDS and TEXTS are records, each a 32-bit length in little endian and so many bytes (of IDS: 32-bit integers).
import { readFileSync, writeFileSync } from "node:fs";
import { createDecoder } from "../../dist/vocab/createDecoder.js";
import { createEncoder } from "../../dist/vocab/createEncoder.js";

const [model, documents, idsPath, textsPath] = process.argv.slice(2);
const started = process.hrtime.bigint();
const encoder = await createEncoder(model);
const decoder = createDecoder(model);
const loaded = process.hrtime.bigint();

const input = readFileSync(documents);
const view = new DataView(input.buffer, input.byteOffset, input.length);
const ids = [];
const texts = [];
let bytes = 0;
let encoding = 0n;
for (let at = 0; at < input.length; ) {
  const length = view.getUint32(at, true);
  const text = input.subarray(at + 4, at + 4 + length);
  at += 4 + length;
  const before = process.hrtime.bigint();
  const encoded = encoder.encode(text);
  encoding += process.hrtime.bigint() - before;
  bytes += length;
  ids.push(record(Buffer.from(encoded.slice().buffer)));
  texts.push(record(Buffer.from(decoder.decode(encoded))));
}
writeFileSync(idsPath, Buffer.concat(ids));
writeFileSync(textsPath, Buffer.concat(texts));
process.stdout.write(
  JSON.stringify({ bytes, loadSeconds: Number(loaded - started) / 1e9, encodeSeconds: Number(encoding) / 1e9 }),
);

function record(data) {
  const head = Buffer.alloc(4);
  head.writeUInt32LE(data.length);
  return Buffer.concat([head, data]);
}

// The Node side of compare_tokens.py: encodes every document of a file with the compiled encoder, and decodes it again.
// usage: node encode_lines.mjs MODEL DOCUMENTS IDS TEXTS
// DOCUMENTS, IDS and TEXTS are records, each a 32-bit length in little endian and so many bytes (of IDS: 32-bit integers).
import { closeSync, openSync, readFileSync, writeSync } from "node:fs";
import { createDecoder } from "../../dist/vocab/encode/createDecoder.js";
import { createEncoder } from "../../dist/vocab/encode/createEncoder.js";

const [model, documents, idsPath, textsPath] = process.argv.slice(2);
const encoder = await createEncoder(model);
const decoder = createDecoder(model);

const input = readFileSync(documents);
const idsFile = openSync(idsPath, "w");
const textsFile = openSync(textsPath, "w");
for (let at = 0; at < input.length; ) {
  const length = input.readUInt32LE(at);
  const ids = encoder.encode(input.subarray(at + 4, at + 4 + length));
  at += 4 + length;
  write(idsFile, Buffer.from(ids.buffer, ids.byteOffset, ids.byteLength));
  write(textsFile, Buffer.from(decoder.decode(ids)));
}
closeSync(idsFile);
closeSync(textsFile);

function write(file, data) {
  const head = Buffer.alloc(4);
  head.writeUInt32LE(data.length);
  writeSync(file, Buffer.concat([head, data]));
}

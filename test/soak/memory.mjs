// Peak memory of `mswitch preprocess` on what should not raise it.
//
//   npm run soak:memory -- --source DIR --vocab FILE.model [--workers 2] [--limit 400] [--times 10] [--only A_CASE]
//
// Each case is a process of its own; its peak resident set (VmHWM) is what the kernel says of it at its end.
import { spawnSync } from "node:child_process";
import {
  createWriteStream,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { fileURLToPath } from "node:url";
import { createGzip } from "node:zlib";
import { parseFlags } from "../../scripts/parseFlags.mjs";

const root = fileURLToPath(new URL("../..", import.meta.url));
const { values: flags } = parseFlags(import.meta.url, {
  options: {
    source: { type: "string", default: join(root, "data/sample") },
    vocab: { type: "string", default: join(root, "vocab/sample.model") },
    workers: { type: "string", default: "2" },
    /** Megabytes (10^6 bytes). */
    limit: { type: "string", default: "400" },
    times: { type: "string", default: "10" },
    only: { type: "string" },
  },
});
const shardName = /^c4-(.+)\.tfrecord-(\d+)-of-(\d+)(\.json.*)$/;
const work = mkdtempSync(join(tmpdir(), "mswitch-memory-"));
const reporter = `import { isMainThread } from "node:worker_threads";
if (isMainThread) process.on("exit", () => process.stderr.write("maxrss " + process.resourceUsage().maxRSS + "\\n"));`;

/** Runs the command; answers its peak in MB, the text it tokenized in MB, what it set aside. */
function measure(source) {
  const out = join(work, "out");
  rmSync(out, { recursive: true, force: true });
  const args = ["preprocess", "--source", source, "--vocab", flags.vocab, "--out", out, "--workers", flags.workers];
  const command = ["--import", `data:text/javascript,${encodeURIComponent(reporter)}`, join(root, "bin/run.js")];
  const { stdout, stderr, status } = spawnSync(process.execPath, [...command, ...args, "--json"], {
    encoding: "utf8",
    maxBuffer: 2 ** 28,
  });
  const peak = /maxrss (\d+)/.exec(stderr);
  if (peak === null || (status !== 0 && status !== 3))
    throw new Error(`preprocess ended with ${status}: ${stdout}${stderr}`);
  const { total, rejected, cost } = JSON.parse(stdout);
  return {
    "peak MB": (Number(peak[1]) * 1024) / 1e6,
    "JSON MB": cost.inflatedBytes / 1e6,
    documents: total.documents,
    "set aside": JSON.stringify(rejected),
  };
}

function linkCorpus(times) {
  const dir = join(work, `corpus-${times}`);
  mkdirSync(dir);
  for (const name of readdirSync(flags.source)) {
    const match = shardName.exec(name);
    if (!match) continue;
    const [, code, index, count, ending] = match;
    for (let copy = 0; copy < times; copy++) {
      const number = (value) => String(value).padStart(5, "0");
      const linked = `c4-${code}.tfrecord-${number(Number(index) + copy * count)}-of-${number(count * times)}${ending}`;
      const target = resolve(flags.source, name);
      try {
        linkSync(target, join(dir, linked));
      } catch {
        symlinkSync(target, join(dir, linked));
      }
    }
  }
  return dir;
}

/** The smallest shard so many times. */
function linkSmall(times) {
  const dir = join(work, "small");
  mkdirSync(dir);
  const sources = readdirSync(flags.source).filter((name) => shardName.test(name));
  const size = (name) => statSync(join(flags.source, name)).size;
  const smallest = sources.reduce((a, b) => (size(b) < size(a) ? b : a));
  const [, code, , , ending] = shardName.exec(smallest);
  const number = (value) => String(value).padStart(5, "0");
  for (let i = 0; i < times; i++) {
    const linked = `c4-${code.replace("-validation", "")}.tfrecord-${number(i)}-of-${number(times)}${ending}`;
    symlinkSync(resolve(flags.source, smallest), join(dir, linked));
  }
  return dir;
}

async function shards(name, count, chunks, gzip = true) {
  const dir = join(work, name);
  mkdirSync(dir);
  for (let i = 0; i < count; i++) {
    const path = join(dir, `c4-en.tfrecord-0000${i}-of-0000${count}.json${gzip ? ".gz" : ".zst"}`);
    const steps = gzip ? [createGzip({ level: 1 })] : [];
    await pipeline(Readable.from(chunks()), ...steps, createWriteStream(path));
  }
  return dir;
}

const words = Buffer.from("the quick brown fox jumps over the lazy dog, ሰላም ለዓለም and back again; ".repeat(14_000));
const open = Buffer.from('{"text":"');
const close = Buffer.from('"}\n');
const mebibyte = 2 ** 20;

/** One line of so many bytes, one document if it is below the limit. */
function* oneLine(bytes, filler = words) {
  yield open;
  let left = bytes - open.length - close.length;
  for (; left > filler.length; left -= filler.length) yield filler;
  yield Buffer.alloc(left, "x");
  yield close;
}

function* repeated(buffer, times) {
  for (let i = 0; i < times; i++) yield buffer;
}

/** A frame of Zstandard that says "128 KiB of this byte" as often as asked, in four bytes each. */
function* zstdBomb(blocks) {
  yield Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x58]);
  const block = Buffer.from([0, 0, 0, 0x61]);
  block.writeUIntLE((131072 << 3) | 2, 0, 3);
  for (let i = 0; i < blocks / 1024; i++) yield Buffer.concat(Array(1024).fill(block));
  yield Buffer.from([0x03, 0x00, 0x00, 0x61]);
}

const cases = {
  corpus: () => linkCorpus(1),
  [`corpus x ${flags.times}`]: () => linkCorpus(Number(flags.times)),
  "20,000 small shards": () => linkSmall(20_000),
  "one line of 500 MB, twice": () => shards("line", 2, () => oneLine(500e6)),
  "one word of 500 MB, twice": () => shards("word", 2, () => oneLine(500e6, Buffer.alloc(mebibyte, "x"))),
  "100 lines of 2 MiB, the longest taken, twice": () =>
    shards("below", 2, function* () {
      for (let i = 0; i < 100; i++) yield* oneLine(2 * mebibyte);
    }),
  "gzip bomb of 2 GB, twice": () => shards("bomb", 2, () => repeated(Buffer.alloc(mebibyte), 2000)),
  "gzip bomb of 50 million empty lines, twice": () =>
    shards("empty", 2, () => repeated(Buffer.alloc(mebibyte, "\n"), 50)),
  "gzip bomb of 7 million bad lines, twice": () => shards("bad", 2, () => repeated(Buffer.alloc(mebibyte, "{}\n"), 20)),
  "zstd bomb of 2 GB, twice": () => shards("zstd", 2, () => zstdBomb(16_384), false),
};

const table = {};
try {
  for (const [name, make] of Object.entries(cases)) {
    if (flags.only && !name.includes(flags.only)) continue;
    const source = await make();
    table[name] = measure(source);
    rmSync(source, { recursive: true });
    console.log(name, table[name]);
  }
} finally {
  rmSync(work, { recursive: true, force: true });
}
console.table(table);
const over = Object.entries(table).filter(([, row]) => row["peak MB"] > Number(flags.limit));
for (const [name, row] of over)
  console.log(`over the limit of ${flags.limit} MB: ${name}: ${row["peak MB"].toFixed(0)} MB`);
process.exitCode = over.length > 0 ? 1 : 0;

import { createHash } from "node:crypto";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { type PreprocessOptions, preprocess } from "../src/dataset/preprocess/preprocess.js";
import type { PreprocessSummary } from "../src/dataset/preprocess/preprocessSummary.js";
import { cutAfter, type FlakyServer, startFlakyServer } from "./flakyServer.js";
import { preprocess as command, model, snapshot, writeCorpus } from "./preprocessRuns.js";

let dir: string;
let corpus: string;
/** The dataset made from local files. */
let local: Record<string, string>;
let server: FlakyServer;
let out: string;
let cacheDir: string;
let tests = 0;

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "mswitch-remote-"));
  corpus = join(dir, "corpus");
  await writeCorpus(corpus, ["haw", "xh"], { shards: 2, documents: 40, words: 80 });
  await preprocess({ sources: [corpus], vocab: model, out: join(dir, "local"), workers: 2 });
  local = dataset(join(dir, "local"));
});
afterAll(() => rm(dir, { recursive: true }));

beforeEach(async () => {
  server = await startFlakyServer();
  for (const name of await readdir(corpus)) {
    server.files.set(`/${name}`, { body: await readFile(join(corpus, name)), etag: `"${name}"` });
  }
  [out, cacheDir] = [join(dir, `out-${tests}`), join(dir, `cache-${tests++}`)];
});
afterEach(() => server.close());

/** Everything but the records, which say where a source was. */
function dataset(folder: string): Record<string, string> {
  return Object.fromEntries(Object.entries(snapshot(folder)).filter(([path]) => !path.startsWith(".records/")));
}

/** The default template has mC4's numbers: haw and xh have two training shards and one for validation, as here. */
const run = (options: Partial<PreprocessOptions> = {}): Promise<PreprocessSummary> =>
  preprocess({
    sources: [`${server.url}/c4-{code}{suffix}.tfrecord-{index}-of-{count}.json.gz`],
    languages: ["haw", "xh"],
    vocab: model,
    out,
    cacheDir,
    workers: 2,
    http: { attempts: 4, backoffMs: 2, idleMs: 1000, connectMs: 10_000 },
    ...options,
  });
const shard = (code: string, index: number): string => `/c4-${code}.tfrecord-0000${index}-of-00002.json.gz`;
const gets = (): string[] => server.requests.filter((request) => request.startsWith("GET"));

describe("preprocess from a server", () => {
  it("makes the same dataset as from files, whatever goes wrong on the way", async () => {
    const misbehave: [string, (before: number) => "cut" | "stall" | "429" | "503" | "short" | "ignore" | "change"][] = [
      [shard("haw", 0), () => "cut"],
      [shard("haw", 1), (before) => (before === 0 ? "stall" : "429")],
      [shard("xh", 0), (before) => (before === 0 ? "short" : "503")],
      [shard("xh", 1), (before) => (before === 0 ? "cut" : "ignore")],
      ["/c4-xh-validation.tfrecord-00000-of-00001.json.gz", () => "change"],
    ];
    for (const [path, how] of misbehave) {
      server.behaviours.set(path, (call) => {
        const { before, response, file, incoming, serve } = call;
        const kind = how(before);
        if (kind === "cut") return cutAfter(Math.ceil(file.body.length / 4))(call);
        if (kind === "change") {
          if (before === 0) {
            const other = Buffer.from(file.body).fill(7);
            return cutAfter(3000)({ ...call, file: { body: other, etag: '"old"' } });
          }
          return serve();
        }
        if (kind === "ignore") delete incoming.headers.range;
        if (before > 2 || kind === "ignore") return serve();
        if (kind === "429" || kind === "503") response.writeHead(Number(kind), { "retry-after": "0" }).end();
        else if (kind === "stall") response.writeHead(200, { "content-length": file.body.length }).flushHeaders();
        else {
          response.writeHead(200, { "content-length": file.body.length + 5 });
          response.write(file.body, () => setTimeout(() => response.socket?.destroy(), 30));
        }
      });
    }
    const summary = await run();
    expect(summary).toMatchObject({ failed: 0, tokenized: 6, complete: true });
    expect(dataset(out)).toEqual(local);
    expect(gets().length).toBeGreaterThan(12);
    expect(gets().length).toBeLessThan(30);
  });

  it("names a shard that is not to be had, does the others, and the next run goes on", async () => {
    server.behaviours.set(shard("haw", 1), ({ response }) => response.writeHead(503).end());
    const summary = await run();
    expect(summary).toMatchObject({ failed: 1, tokenized: 5, complete: true });
    expect(summary.failures).toEqual([
      {
        file: `${server.url}${shard("haw", 1)}`,
        why: expect.stringMatching(/^given up after 4 attempts: the server answered 503; see whether .* is up/),
      },
    ]);
    expect(gets().filter((request) => request.includes(shard("haw", 1)))).toHaveLength(4);
    server.behaviours.clear();
    server.requests.length = 0;
    expect(await run()).toMatchObject({ failed: 0, tokenized: 1, skipped: 5 });
    expect(gets()).toEqual([`GET ${shard("haw", 1)}`]);
    expect(dataset(out)).toEqual(local);
  });

  it("does again what has changed on the server, and nothing else", async () => {
    await run();
    const path = shard("xh", 0);
    server.files.set(path, { body: await readFile(join(corpus, shard("haw", 0))), etag: '"other"' });
    server.requests.length = 0;
    expect(await run({ cacheBytes: 0 })).toMatchObject({ tokenized: 1, skipped: 5 });
    expect(gets()).toEqual([`GET ${path}`]);
    expect(dataset(out)["xh/train-00000-of-00002.arrow"]).not.toBe(local["xh/train-00000-of-00002.arrow"]);
    // A server that is down says nothing against what is finished.
    await server.close();
    expect(await run({ http: { attempts: 1 } })).toMatchObject({ tokenized: 0, skipped: 6, failed: 0 });
  });

  it("takes shards that moved from a folder to a server for done where the server gives their hash", async () => {
    await preprocess({ sources: [corpus], vocab: model, out });
    for (const [path, file] of server.files) {
      const digest = createHash("sha256").update(file.body).digest("base64");
      server.files.set(path, { ...file, headers: { "repr-digest": `sha-256=:${digest}:` } });
    }
    expect(await run({ verify: true })).toMatchObject({ tokenized: 0, skipped: 6 });
    expect(gets()).toEqual([]);
    expect(dataset(out)).toEqual(local);
  });

  it("needs no download for another vocabulary's dataset while the cache holds the shards", async () => {
    await run();
    server.requests.length = 0;
    expect(await run({ out: `${out}-second` })).toMatchObject({ tokenized: 6 });
    expect(gets()).toEqual([]);
    expect(dataset(`${out}-second`)).toEqual(local);
  });

  it("keeps the cache within its bound", async () => {
    await run({ cacheBytes: 0, connections: 1, workers: 1 });
    expect(await readdir(cacheDir)).toEqual([]);
    expect(dataset(out)).toEqual(local);
  });

  it("is interrupted at once, and says how far it is", async () => {
    server.behaviours.set(shard("xh", 1), () => undefined);
    const stop = new AbortController();
    const running = run({ signal: stop.signal, http: {} });
    const done = (): number => Object.keys(snapshot(join(out, ".records"))).length;
    const timer = setInterval(() => done() === 5 && stop.abort(), 20);
    stop.signal.addEventListener("abort", () => clearInterval(timer));
    await expect(running).rejects.toMatchObject({ exitCode: 130, why: "5 of 6 shards are done" });
  });

  it("takes a listing on the command line, and exits with 1 where a shard is not to be had", async () => {
    server.files.set("/", { body: Buffer.from([...server.files.keys()].map((path) => `<a href="${path}">`).join("")) });
    const args = ["--source", `${server.url}/`, "--vocab", model, "--cache-dir", cacheDir, "--cache-size", "1MB"];
    expect(await command([...args, "--out", out])).toMatchObject({ code: 0 });
    expect(dataset(out)).toEqual(local);
    server.behaviours.set(shard("xh", 1), ({ response }) => response.writeHead(404).end());
    await rm(cacheDir, { recursive: true });
    const failed = await command([...args, "--out", `${out}-second`]);
    expect(failed).toMatchObject({ code: 1 });
    expect(failed.stdout).toMatch(
      /left out: http.*xh\.tfrecord-00001.*: the server answered 404: there is no such file/,
    );
  });
});

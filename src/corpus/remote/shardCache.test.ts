import { randomBytes } from "node:crypto";
import { mkdtemp, readdir, readFile, rm, stat, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type FlakyServer, startFlakyServer } from "../../../test/flakyServer.js";
import { HttpClient } from "./httpClient.js";
import { openShardCache, type ShardCache } from "./shardCache.js";

let server: FlakyServer;
let directory: string;
beforeEach(async () => {
  server = await startFlakyServer();
  directory = await mkdtemp(join(tmpdir(), "mswitch-cache-"));
  for (const name of ["a", "b", "c"]) server.files.set(`/${name}`, { body: randomBytes(1000), etag: `"${name}"` });
});
afterEach(async () => {
  await server.close();
  await rm(directory, { recursive: true });
});

const openCache = (maxBytes: number): Promise<ShardCache> =>
  openShardCache(directory, maxBytes, new HttpClient({ attempts: 2, backoffMs: 1 }));
const url = (name: string): string => `${server.url}/${name}`;
const bodyOf = (name: string): Buffer => Buffer.from(server.files.get(`/${name}`)?.body ?? []);
const copies = async (): Promise<string[]> => (await readdir(directory)).filter((name) => /^[^.].*\.shard$/.test(name));
const gets = (): string[] => server.requests.filter((request) => request.startsWith("GET"));

describe("ShardCache", () => {
  it("downloads once, and again when the server says that the file is another", async () => {
    const cache = await openCache(1e6);
    for (let i = 0; i < 3; i++) {
      const lease = await cache.obtain(url("a"));
      expect(await readFile(lease.file)).toEqual(bodyOf("a"));
      await lease.release();
      await expect(stat(lease.file)).rejects.toThrow();
    }
    expect(gets()).toEqual(["GET /a"]);
    server.files.set("/a", { body: randomBytes(1000), etag: '"new"' });
    const lease = await cache.obtain(url("a"));
    expect(await readFile(lease.file)).toEqual(bodyOf("a"));
    await lease.release();
    expect(gets()).toEqual(["GET /a", "GET /a"]);
  });

  it("evicts what was not used for longest, and nothing that is in use", async () => {
    const [one, other] = [await openCache(2000), await openCache(2000)];
    const a = await one.obtain(url("a"));
    await (await other.obtain(url("b"))).release();
    await utimes(a.file, 1, 1);
    // Older than b, but in use: b goes.
    await (await other.obtain(url("c"))).release();
    expect(await copies()).toHaveLength(2);
    expect(await copies()).toContain(`${a.sha256}.shard`);
    expect(await readFile(a.file)).toEqual(bodyOf("a"));
    await a.release();
    await (await one.obtain(url("b"))).release();
    expect(await copies()).not.toContain(`${a.sha256}.shard`);
    expect(await copies()).toHaveLength(2);
  });

  it("keeps a file for its user though another process takes it away", async () => {
    const cache = await openCache(1e6);
    const lease = await cache.obtain(url("a"));
    for (const name of await copies()) await rm(join(directory, name));
    expect(await readFile(lease.file)).toEqual(bodyOf("a"));
    await lease.release();
  });

  it("keeps nothing where it may hold nothing", async () => {
    const cache = await openCache(0);
    const lease = await cache.obtain(url("a"));
    expect(await readFile(lease.file)).toEqual(bodyOf("a"));
    await lease.release();
    expect(await readdir(directory)).toEqual([]);
  });

  it("does not use a damaged copy, nor one that was found damaged", async () => {
    const cache = await openCache(1e6);
    await (await cache.obtain(url("a"))).release();
    await writeFile(join(directory, (await copies())[0]), "short");
    const lease = await cache.obtain(url("a"));
    expect(await readFile(lease.file)).toEqual(bodyOf("a"));
    await lease.discard();
    expect(await copies()).toEqual([]);
  });

  it("serves many at once, from two processes' caches", async () => {
    const caches = [await openCache(1500), await openCache(1500)];
    const work = Array.from({ length: 40 }, async (_, i) => {
      const name = ["a", "b", "c"][i % 3];
      const lease = await caches[i % 2].obtain(url(name));
      expect(await readFile(lease.file)).toEqual(bodyOf(name));
      await lease.release();
    });
    await Promise.all(work);
    expect((await copies()).length).toBeLessThanOrEqual(1);
    expect((await readdir(directory)).filter((name) => name.startsWith("."))).toEqual([]);
  });

  it("says so where the folder cannot be used", async () => {
    const file = join(directory, "file");
    await writeFile(file, "");
    await expect(openShardCache(file, 1, new HttpClient())).rejects.toMatchObject({ exitCode: 2 });
  });
});

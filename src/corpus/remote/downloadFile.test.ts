import { createHash, randomBytes } from "node:crypto";
import { mkdtemp, open, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { cutAfter, type FlakyServer, startFlakyServer } from "../../../test/flakyServer.js";
import { type Downloaded, downloadFile } from "./downloadFile.js";
import { DownloadFault, HttpClient, type HttpOptions } from "./httpClient.js";

const body = randomBytes(200_000);
const sha256 = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");
const base64 = (name: string, bytes: Uint8Array): string => createHash(name).update(bytes).digest("base64");
// Little waiting between attempts; but a machine that stands still for a moment is no silent server.
const quick: Partial<HttpOptions> = { attempts: 4, backoffMs: 2, idleMs: 10_000, connectMs: 10_000, totalMs: 20_000 };

let server: FlakyServer;
let directory: string;
beforeEach(async () => {
  server = await startFlakyServer();
  directory = await mkdtemp(join(tmpdir(), "mswitch-download-"));
});
afterEach(async () => {
  await server.close();
  await rm(directory, { recursive: true });
});

/** Downloads `/file`, whatever the server makes of it. */
async function download(options: Partial<HttpOptions> = {}): Promise<Downloaded & { data: Buffer }> {
  const path = join(directory, "file");
  const file = await open(path, "w");
  try {
    const client = new HttpClient({ ...quick, ...options });
    const had = await downloadFile(client, `${server.url}/file`, file, path);
    return { ...had, data: await readFile(path) };
  } finally {
    await file.close();
  }
}

async function fault(options: Partial<HttpOptions> = {}): Promise<string> {
  const error: unknown = await download(options).catch((thrown: unknown) => thrown);
  expect(error).toBeInstanceOf(DownloadFault);
  return (error as DownloadFault).message;
}

describe("downloadFile", () => {
  it("gives size, hash and version", async () => {
    server.files.set("/file", { body, etag: '"one"' });
    const { data, ...had } = await download();
    expect(had).toEqual({ bytes: body.length, sha256: sha256(body), version: '"one"' });
    expect(data.equals(body)).toBe(true);
  });

  it("goes on where the connection broke, as long as something new comes", async () => {
    server.files.set("/file", { body, etag: '"one"' });
    server.behaviours.set("/file", cutAfter(20_000));
    expect((await download({ attempts: 2 })).data.equals(body)).toBe(true);
    expect(server.requests).toHaveLength(10);
    expect(server.requests.slice(1).every((request) => / bytes=\d+-$/.test(request))).toBe(true);
  });

  it.each([
    ["no validator", undefined],
    ["a weak validator", 'W/"one"'],
  ])("starts again where the server has %s, and gives up in the end", async (_, etag) => {
    server.files.set("/file", { body, etag });
    server.behaviours.set("/file", cutAfter(150_000));
    expect(await fault()).toMatch(/given up after 4 attempts: the connection broke/);
    expect(server.requests).toEqual(Array(4).fill("GET /file"));
    server.behaviours.set("/file", (call) => (call.before < 7 ? cutAfter(150_000)(call) : call.serve()));
    expect((await download()).data.equals(body)).toBe(true);
  });

  it("starts again where the server ignores Range", async () => {
    server.files.set("/file", { body, etag: '"one"' });
    server.behaviours.set("/file", (call) => {
      if (call.before === 0) return cutAfter(50_000)(call);
      delete call.incoming.headers.range;
      call.serve();
    });
    expect((await download()).data.equals(body)).toBe(true);
    expect(server.requests).toEqual(["GET /file", expect.stringMatching(/^GET \/file bytes=\d+-$/)]);
  });

  it.each([true, false])("never joins two versions of a file (If-Range understood: %s)", async (understood) => {
    const changed = randomBytes(body.length);
    server.files.set("/file", { body, etag: '"one"' });
    server.behaviours.set("/file", (call) => {
      if (call.before === 0) return cutAfter(50_000)(call);
      if (!understood) delete call.incoming.headers["if-range"];
      call.serve({ body: changed, etag: '"two"' });
    });
    const had = await download();
    expect(had.data.equals(changed)).toBe(true);
    expect(had).toMatchObject({ version: '"two"', sha256: sha256(changed) });
  });

  it.each([
    ["repr-digest", `sha-256=:${base64("sha256", body)}:`],
    ["digest", `SHA-256=${base64("sha256", body)}`],
    ["x-goog-hash", `crc32c=AAAAAA==, md5=${base64("md5", body)}`],
    ["content-md5", base64("md5", body)],
    ["x-linked-etag", `"${sha256(body)}"`],
  ])("compares the checksum of %s", async (name, value) => {
    const damaged = Buffer.from(body);
    damaged[1000] ^= 1;
    const headers = { [name]: value };
    server.files.set("/file", { body, headers });
    server.behaviours.set("/file", ({ before, serve }) => serve(before < 2 ? { body: damaged, headers } : undefined));
    expect((await download()).data.equals(body)).toBe(true);
    expect(server.requests).toHaveLength(3);
    server.behaviours.set("/file", ({ serve }) => serve({ body: damaged, headers }));
    expect(await fault()).toMatch(/does not have the (SHA-256|MD5) that the server gives/);
  });

  it("waits as long as Retry-After says, for 429 and 503", async () => {
    server.files.set("/file", { body });
    const times: number[] = [];
    server.behaviours.set("/file", ({ before, response, serve }) => {
      times.push(Date.now());
      if (before > 1) return serve();
      response.writeHead(before === 0 ? 429 : 503, { "retry-after": before === 0 ? "1" : "0" }).end();
    });
    expect((await download()).bytes).toBe(body.length);
    expect(times[1] - times[0]).toBeGreaterThanOrEqual(990);
  });

  it("gives up at once where the wait asked for is beyond all bounds", async () => {
    server.files.set("/file", { body });
    server.behaviours.set("/file", ({ response }) => response.writeHead(429, { "retry-after": "86400" }).end());
    expect(await fault()).toMatch(/after 1 attempt: the server answered 429 .*asking for a pause of 86400 s/);
  });

  it("does not ask twice for what is not there or not allowed", async () => {
    expect(await fault()).toMatch(/answered 404: there is no such file/);
    server.files.set("/file", { body });
    server.behaviours.set("/file", ({ response }) => response.writeHead(403).end());
    expect(await fault()).toMatch(/answered 403: .*without an account/);
    expect(server.requests).toHaveLength(2);
  });

  it("gets over silence before and within an answer", async () => {
    server.files.set("/file", { body, etag: '"one"' });
    server.behaviours.set("/file", ({ before, response, serve }) => {
      if (before === 0) return;
      if (before > 1) return serve();
      response.writeHead(200, { "content-length": body.length, etag: '"one"' });
      response.write(body.subarray(0, 1000));
    });
    expect((await download({ idleMs: 300 })).data.equals(body)).toBe(true);
    server.behaviours.set("/file", () => undefined);
    expect(await fault({ attempts: 2, idleMs: 150 })).toMatch(/after 2 attempts: nothing came for 0.15 s/);
  });

  it("does not take a wrong length for a whole file", async () => {
    server.files.set("/file", { body, etag: '"one"' });
    server.behaviours.set("/file", ({ response }) => {
      response.writeHead(200, { "content-length": body.length + 10, etag: '"one"' });
      response.write(body, () => response.socket?.destroy());
    });
    expect(await fault()).toMatch(/given up after/);
  });

  it("ends in time however slowly it drips", async () => {
    server.files.set("/file", { body, etag: '"one"' });
    server.behaviours.set("/file", ({ response }) => {
      response.writeHead(200, { "content-length": body.length });
      const timer = setInterval(() => response.write(Buffer.alloc(1)), 20);
      response.on("close", () => clearInterval(timer));
    });
    expect(await fault({ totalMs: 400 })).toMatch(/not done within 0.4 s/);
  });

  it("asks a server no more that let several files fail in a row", async () => {
    server.files.set("/file", { body });
    server.behaviours.set("/file", ({ response }) => response.writeHead(500).end());
    const client = new HttpClient({ ...quick, attempts: 2, serverFailures: 2 });
    const ask = (): Promise<unknown> => client.head(`${server.url}/file`).catch((error: Error) => error.message);
    expect(await ask()).toMatch(/after 2 attempts/);
    expect(await ask()).toMatch(/after 2 attempts/);
    expect(await ask()).toMatch(/not asked for: .* let 2 files in a row fail/);
    expect(server.requests).toHaveLength(4);
  });

  it("stops when the run is stopped, also within a wait", async () => {
    server.files.set("/file", { body });
    server.behaviours.set("/file", ({ response }) => response.writeHead(503, { "retry-after": "60" }).end());
    const stop = new AbortController();
    const client = new HttpClient({ ...quick, totalMs: 100_000 }, stop.signal);
    setTimeout(() => stop.abort(), 50);
    await expect(client.head(`${server.url}/file`)).rejects.toMatchObject({ exitCode: 130 });
  });

  it("follows redirections, and takes Hugging Face's checksum from the first of them", async () => {
    server.files.set("/file", { body: Buffer.alloc(0) });
    server.files.set("/store", { body, etag: '"store"' });
    server.behaviours.set("/file", ({ response }) => {
      const headers = { "x-linked-etag": `"${sha256(body)}"`, "x-linked-size": String(body.length) };
      response.writeHead(302, { ...headers, location: "/store?signature=1" }).end();
    });
    server.behaviours.set("/store", (call) => (call.before === 0 ? cutAfter(70_000)(call) : call.serve()));
    expect(await download()).toMatchObject({ bytes: body.length, version: `"${sha256(body)}"` });
    const head = await new HttpClient(quick).head(`${server.url}/file`);
    expect(head).toMatchObject({ bytes: body.length, sha256: sha256(body) });
    expect(server.requests.filter((request) => request.startsWith("HEAD"))).toEqual(["HEAD /file"]);
    server.behaviours.set("/file", ({ response }) => response.writeHead(302, { location: "/file" }).end());
    expect(await fault({ attempts: 2 })).toMatch(/redirected more than/);
  });
});

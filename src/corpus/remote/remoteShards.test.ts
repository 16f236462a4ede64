import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type FlakyServer, startFlakyServer } from "../../../test/flakyServer.js";
import { discoverShards } from "../shards/discoverShards.js";
import { HttpClient } from "./httpClient.js";
import { parseListing } from "./remoteShards.js";

let server: FlakyServer;
const client = new HttpClient({ attempts: 2, backoffMs: 1 });
beforeEach(async () => {
  server = await startFlakyServer();
});
afterEach(() => server.close());

const names = ["c4-af.tfrecord-00000-of-00002.json.gz", "c4-zh-Latn-validation.tfrecord-00000-of-00001.json.gz"];

describe("templates", () => {
  it("mc4 is the public copy, with the numbers of its own loader", async () => {
    const all = await discoverShards(["hf:allenai/c4"]);
    // Sums of datasets/mc4/mc4.py of huggingface/datasets, without und.
    expect(all.filter(({ split }) => split === "train")).toHaveLength(55_952);
    expect(all.filter(({ split }) => split === "validation")).toHaveLength(354);
    const urls = new Set(all.map(({ path }) => path));
    expect(urls.size).toBe(all.length);
    const folder =
      "https://huggingface.co/datasets/allenai/c4/resolve/1ddc917116b730e1859edef32896ec5c16be51d0/multilingual";
    expect(urls).toContain(`${folder}/c4-en.tfrecord-11263-of-11264.json.gz`);
    expect(urls).toContain(`${folder}/c4-iw-validation.tfrecord-00000-of-00001.json.gz`);
  });

  it("fills in every placeholder", async () => {
    const template = "https://example.org/{split}/{language}/c4-{code}{suffix}.tfrecord-{index}-of-{count}.json.gz";
    const shards = await discoverShards([template], { languages: ["haw"] });
    expect(shards.map(({ path }) => path)).toEqual([
      "https://example.org/train/haw/c4-haw.tfrecord-00000-of-00002.json.gz",
      "https://example.org/train/haw/c4-haw.tfrecord-00001-of-00002.json.gz",
      "https://example.org/validation/haw/c4-haw-validation.tfrecord-00000-of-00001.json.gz",
    ]);
    expect(shards[2]).toMatchObject({ language: "haw", split: "validation", index: 0, count: 1, bytes: 0 });
    const [zst] = await discoverShards(["https://example.org/{code}-{index}.jsonl.zst"], {
      languages: ["haw"],
      splits: ["train"],
    });
    expect(zst.name).toBe("c4-haw.tfrecord-00000-of-00002.jsonl.zst");
  });

  it.each([
    ["https://example.org/{lang}/{index}", "template-invalid"],
    ["https://example.org/{code}.gz", "template-invalid"],
    ["https://user:secret@example.org/{name}", "source-with-credentials"],
    ["https://exa mple/{name}", "template-invalid"],
  ])("%s is refused", async (template, code) => {
    const error: Error = await discoverShards([template]).then(
      () => new Error("accepted"),
      (thrown: Error) => thrown,
    );
    expect(error).toMatchObject({ code });
    expect(error.message).not.toContain("secret");
  });
});

describe("listings", () => {
  const forms: [string, string, string][] = [
    ["text", "/list.txt", `# shards\r\n${names[0]}\r\n\r\nhttps://other.example/${names[1]}?key=1\n`],
    ["JSON", "/list.json", JSON.stringify([names[0], { url: `https://other.example/${names[1]}?key=1`, bytes: 12 }])],
    [
      "an HTML index",
      "/",
      `<!DOCTYPE html><a href="?C=N;O=D">Name</a><a href="../">up</a><A HREF='${names[0]}'>x</A><a href=https://other.example/${names[1]}?key=1>y</a>`,
    ],
  ];
  it.each(forms)("are understood as %s", async (_, path, text) => {
    server.files.set(path, { body: Buffer.from(text) });
    const shards = await discoverShards([`${server.url}${path}`], { client });
    expect(shards.map((shard) => shard.path)).toEqual([
      `${server.url}/${names[0]}`,
      `https://other.example/${names[1]}?key=1`,
    ]);
  });

  it("a shard's own address is read from its name and asked for nothing", async () => {
    const url = `${server.url}/deep/${names[0]}`;
    expect(await discoverShards([url], { client })).toMatchObject([{ path: url, name: names[0], language: "af" }]);
    expect(server.requests).toEqual([]);
  });

  it("that cannot be had, or name no shard, are wrong use", async () => {
    const failing = (path: string): Promise<unknown> =>
      discoverShards([`${server.url}${path}`], { client }).catch((error: unknown) => error);
    expect(await failing("/none")).toMatchObject({ exitCode: 2, message: expect.stringMatching(/answered 404/) });
    server.files.set("/empty", { body: Buffer.from("<html>nothing</html>") });
    expect(await failing("/empty")).toMatchObject({ exitCode: 2, message: expect.stringMatching(/names no shard/) });
    server.files.set("/bad", { body: Buffer.from("[1, 2") });
    expect(await failing("/bad")).toMatchObject({ exitCode: 2, message: expect.stringMatching(/no JSON list/) });
  });

  it("cannot name anything but http(s)", () => {
    expect(parseListing(`file:///etc/${names[0]}\n%E0%A4%A.gz`, "https://example.org/list")).toEqual([]);
  });
});

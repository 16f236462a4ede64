import { afterEach, expect, it } from "vitest";
import type { Shard } from "../../corpus/shards/shard.js";
import type { Vocabulary } from "../../vocab/vocabulary.js";
import { dropFlag, ShardThread } from "./shardThread.js";

/** A worker that does with a shard what the shard's name says, and answers with its own number. */
const source = `
import { parentPort, threadId, workerData } from "node:worker_threads";
parentPort.on("message", async ({ name }) => {
  if (name === "throw") throw new Error("broken");
  if (name === "exit") process.exit(7);
  while (name === "wait" && Atomics.load(workerData.drop, 0) === 0) await new Promise((r) => setTimeout(r, 5));
  parentPort.postMessage({ kind: "progress", progress: { tokens: 1, textBytes: 2 } });
  parentPort.postMessage(name === "wait" ? { kind: "dropped" } : { kind: "failed", why: String(threadId) });
});`;
const url = new URL(`data:text/javascript,${encodeURIComponent(source)}`);
const shard = (name: string): Shard => ({
  name,
  language: "af",
  split: "train",
  index: 0,
  count: 1,
  path: name,
  bytes: 1,
});

const threads: ShardThread[] = [];
const drop = dropFlag();
function startThread(): ShardThread {
  const thread = new ShardThread(url, { out: "", vocabulary: {} as Vocabulary, maxLineBytes: 1, drop });
  threads.push(thread);
  return thread;
}
afterEach(() => Promise.all(threads.splice(0).map((thread) => thread.close())));

it("uses a worker again and passes its progress on", async () => {
  const thread = startThread();
  const seen: number[] = [];
  const first = await thread.run(shard("a"), ({ textBytes }) => seen.push(textBytes));
  const second = await thread.run(shard("b"), ({ textBytes }) => seen.push(textBytes));
  expect(second).toEqual(first);
  expect(seen).toEqual([2, 2]);
});

it.each([
  ["throw", /its worker crashed \(broken\)/],
  ["exit", /its worker ended early \(code 7\)/],
])("a worker that dies (%s) takes its shard down and no other", async (name, why) => {
  const [one, two] = [startThread(), startThread()];
  const outcomes = await Promise.all([one.run(shard(name), () => undefined), two.run(shard("a"), () => undefined)]);
  expect(outcomes[0]).toEqual({ kind: "failed", why: expect.stringMatching(why) });
  const next = await Promise.all([one, two].map((thread) => thread.run(shard("b"), () => undefined)));
  for (const outcome of [outcomes[1], ...next]) {
    expect(outcome).toEqual({ kind: "failed", why: expect.stringMatching(/^\d+$/) });
  }
});

it("drops the shards in hand when it is told to", async () => {
  const waiting = [startThread(), startThread()].map((thread) => thread.run(shard("wait"), () => undefined));
  Atomics.store(drop, 0, 1);
  expect(await Promise.all(waiting)).toEqual([{ kind: "dropped" }, { kind: "dropped" }]);
});

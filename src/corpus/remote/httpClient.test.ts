import { once } from "node:events";
import { createServer } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { HttpClient } from "./httpClient.js";

const warnings: string[] = [];
const note = ({ name }: Error): void => void warnings.push(name);
beforeAll(() => void process.on("warning", note));
afterAll(() => void process.off("warning", note));

test("many files that wait to be asked for again warn of no leak, and an interruption ends all waits", async () => {
  const server = createServer((socket) => socket.destroy());
  await once(server.listen(0, "127.0.0.1"), "listening");
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("the server has no port");
  const controller = new AbortController();
  const client = new HttpClient({ attempts: 100, backoffMs: 60_000, serverFailures: 100 }, controller.signal);
  let failed = 0;
  const waits = Array.from({ length: 40 }, (_, i) =>
    client.retry(`http://127.0.0.1:${address.port}/${i}`, async (signal) => {
      try {
        return await client.get(`http://127.0.0.1:${address.port}/${i}`, signal);
      } finally {
        failed++;
      }
    }),
  );
  const ends = Promise.allSettled(waits);
  while (failed < waits.length) await sleep(5);
  // Node gives its warnings on the next tick.
  await sleep(5);
  controller.abort();
  const codes = (await ends).map((end) => end.status === "rejected" && end.reason.code);
  expect(new Set(codes)).toEqual(new Set(["interrupted"]));
  expect(warnings).toEqual([]);
  server.close();
});

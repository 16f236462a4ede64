import { spawn } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:net";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { hasProcessGroups } from "../src/distributed.js";

const program = fileURLToPath(new URL("programs/collectives.mjs", import.meta.url));

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  server.close();
  await once(server, "close");
  return typeof address === "object" && address ? address.port : 0;
}

interface Ended {
  status: number | null;
  result: Record<string, unknown>;
}

/** Runs the ranks side by side, one thread each. */
async function runRanks(size: number, task: string, started = size): Promise<Ended[]> {
  const port = await freePort();
  const env = { ...process.env, OMP_NUM_THREADS: "1" };
  return Promise.all(
    Array.from({ length: started }, async (_, rank) => {
      const child = spawn(process.execPath, [program, ...[rank, size, port].map(String), task], { env });
      let text = "";
      child.stdout.setEncoding("utf8").on("data", (chunk: string) => {
        text += chunk;
      });
      const [status] = (await once(child, "close")) as [number | null];
      const last = text.trim().split("\n").at(-1) ?? "";
      return { status, result: last ? (JSON.parse(last) as Record<string, unknown>) : {} };
    }),
  );
}

describe.skipIf(!hasProcessGroups())("process groups", () => {
  test.each([2, 3])("%d ranks: every collective gives what its definition says", async (size) => {
    const ended = await runRanks(size, "all");
    const ranks = Array.from({ length: size }, (_, i) => i);
    const total = ranks.reduce((a, b) => a + b);
    for (const [rank, { status, result }] of ended.entries()) {
      expect(status, JSON.stringify(result)).toBe(0);
      expect(result).toEqual({
        sums: [[total, size], [0, 1, 2].map(() => total + size / 2)],
        mean: [(total + size) / size, (10 * (total + size)) / size].map((value) => expect.closeTo(value, 4)),
        largest: [size - 1, 0].map((value) => expect.closeTo(value, 9)),
        gathered: ranks.map((r) => r * r),
        part: [size * rank],
        equal: ranks.map((from) => 10 * from + rank),
        unequal: ranks.flatMap((from) => new Array(2 * (from + 1)).fill(from)),
        told: [[size - 1], [1, 2]],
        reduced:
          rank === 1
            ? [
                [2, 2, total + size, total + size, 2, 2],
                [total, total, total],
                [1, 4, 2, 5, 2 * size + total, 5 * size + total],
              ]
            : null,
        parts: [7, 8, 9, 5, 6],
        within: [rank < 2 ? 3 : rank + 1],
        blocking: {
          sum: ranks.map((i) => 10 * total + size * i),
          max: ranks.map((i) => 10 * (size - 1) + i),
          exchange: ranks.map((from) => 10 * from + rank),
          gather: ranks.flatMap((from) => ranks.map((i) => 10 * from + i)),
        },
        bfloat16: ranks.map((from) => 10 * from + rank),
        // Equal, unequal, blocking in float32 and in bfloat16.
        traffic: [
          {
            ...{ kind: "all-to-all", group: 0, ranks: size, times: 4 },
            bytes: 4 * size + 8 * size * (rank + 1) + 4 * size + 2 * size,
          },
        ],
        groups: [rank < 2 ? rank : null, rank === size - 1 ? 0 : null],
      });
    }
  });

  test("a rank that is killed ends the other with an error that names operation, ranks and seconds", async () => {
    const [alive, dead] = await runRanks(2, "dies");
    expect(dead.status).toBe(null);
    expect(alive.status).toBe(1);
    expect(alive.result.error).toMatch(/^all-reduce of ranks 0, 1 failed in rank 0 after [\d.]+ s: /);
  });

  test("a rank that does not come to a collective ends the wait after the timeout", async () => {
    const [waiting] = await runRanks(2, "stalls");
    expect(waiting.status).toBe(1);
    expect(waiting.result.error).toMatch(
      /^all-reduce of ranks 0, 1 failed in rank 0 after [34]\.\d s: .*[Tt]imed? ?out/s,
    );
  });

  test("a rank that never starts is missed after the timeout", async () => {
    const [alone] = await runRanks(2, "never", 1);
    expect(alone.status).toBe(1);
    expect(alone.result.error).toMatch(/^rank 0 of 2 did not meet the others at 127\.0\.0\.1:\d+: /);
  });
});

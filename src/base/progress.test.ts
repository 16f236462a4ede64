import { PassThrough } from "node:stream";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { createProgress } from "./progress.js";

const rates = [
  { label: "MB/s", scale: 1e-6 },
  { label: "Mtok/s", scale: 1e-6 },
];

function fakeStream(isTTY: boolean): { stream: NodeJS.WriteStream; text: () => string } {
  const pass = new PassThrough();
  const chunks: Buffer[] = [];
  pass.on("data", (chunk: Buffer) => chunks.push(chunk));
  const stream = Object.assign(pass, { isTTY, columns: 200 }) as unknown as NodeJS.WriteStream;
  return { stream, text: () => Buffer.concat(chunks).toString() };
}

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

describe("createProgress without a terminal", () => {
  it("writes a plain line of the whole every few seconds, with the rates and the time left", () => {
    const { stream, text } = fakeStream(false);
    const parts = [
      { name: "af", total: 100 },
      { name: "am", total: 300 },
    ];
    const progress = createProgress({ parts, rates, stream });
    for (let second = 1; second <= 40; second++) {
      vi.advanceTimersByTime(1000);
      progress.advance(second <= 10 ? "af" : "am", 5, [2e6, 5e5]);
    }
    const lines = text().trimEnd().split("\n");
    expect(lines).toHaveLength(8);
    expect(lines[0]).toBe("total   6%   2.00 MB/s   0.50 Mtok/s  1m15s left");
    progress.stop();
    expect(text().trimEnd().split("\n").at(-1)).toBe("total  50%   2.00 MB/s   0.50 Mtok/s  40s left");
    expect(text()).not.toContain("\u001b");
  });

  it("names a single part and ends with its average", () => {
    const { stream, text } = fakeStream(false);
    const progress = createProgress({ parts: [{ name: "train", total: 2 }], rates: rates.slice(0, 1), stream });
    vi.advanceTimersByTime(4000);
    progress.advance("train", 2, [8e6]);
    progress.stop();
    expect(text()).toBe("train 100%   2.00 MB/s  in 4s\n");
  });
});

describe("createProgress on a terminal", () => {
  it("shows the parts in hand and the whole, and gives the terminal back", () => {
    const { stream, text } = fakeStream(true);
    const parts = Array.from({ length: 101 }, (_, i) => ({ name: `l${i}`, total: 10 }));
    const progress = createProgress({ parts, rates, stream });
    for (let i = 0; i < 100; i++) {
      progress.advance(`l${i}`, 5, [1e6, 1e5]);
      progress.advance(`l${i + 1}`, 5, [1e6, 1e5]);
      vi.advanceTimersByTime(300);
      progress.advance(`l${i}`, 5, [1e6, 1e5]);
    }
    progress.log.info("a message");
    progress.stop();
    const frames = text().split("\u001b[1G");
    expect(frames.length).toBeGreaterThan(100);
    // Up-moves say how many bars were drawn below one another.
    const heights = [...text().matchAll(new RegExp(`${"\u001b"}\\[(\\d+)A`, "g"))].map((match) => Number(match[1]));
    expect(Math.max(...heights)).toBeLessThanOrEqual(4);
    expect(text()).toContain("a message");
    expect(text()).toContain("\u001b[?25h");
    expect(vi.getTimerCount()).toBe(0);
  });
});

import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gunzipSync, gzipSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { convertTask } from "./convertTask.js";
import type { Pair } from "./taskFormats.js";

let dir: string;
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), "mswitch-tasks-"));
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

function folder(name: string, files: Record<string, string>): string {
  mkdirSync(join(dir, name));
  for (const [file, text] of Object.entries(files)) {
    writeFileSync(join(dir, name, file), file.endsWith(".gz") ? gzipSync(text) : text);
  }
  return join(dir, name);
}

const read = (path: string): Pair[] =>
  gunzipSync(readFileSync(join(dir, "out", path)))
    .toString()
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));

describe("a published task as pairs", () => {
  it("MasakhaNEWS", async () => {
    const from = folder("masakhanews", {
      "ibo-train.tsv.gz": "category\theadline\ttext\nsports\tBọọlụ\tEgwuregwu\n",
      "swa-dev.tsv": "category\theadline\ttext\nhealth\tAfya\t\n",
      "README.md": "",
    });
    expect(await convertTask("masakhanews", from, join(dir, "out"))).toEqual({
      task: "masakhanews",
      languages: { ig: { train: 1 }, sw: { validation: 1 } },
      passedOver: ["README.md"],
    });
    expect(read("masakhanews/ig/train.jsonl.gz")).toEqual([{ inputs: "topic: Bọọlụ Egwuregwu", targets: "sports" }]);
    expect(read("masakhanews/sw/validation.jsonl.gz")).toEqual([{ inputs: "topic: Afya", targets: "health" }]);
  });

  it("XQuAD, by paragraphs, and XCOPA", async () => {
    const paragraph = (i: number): string =>
      JSON.stringify({ context: `C${i}`, qas: [{ question: "Q?", answers: [`A${i}`, "B"] }] });
    const lines = Array.from({ length: 6 }, (_, i) => paragraph(i)).join("\n");
    await convertTask("xquad", folder("xquad", { "en.jsonl": lines }), join(dir, "out"));
    expect(read("xquad/en/train.jsonl.gz")).toHaveLength(4);
    expect(read("xquad/en/test.jsonl.gz")).toEqual([{ inputs: "question: Q? context: C5", targets: "A5" }]);
    const copa = JSON.stringify({ premise: "P", choice1: "X", choice2: "Y", question: "cause", label: 1 });
    await convertTask("xcopa", folder("xcopa", { "et-test.jsonl": copa }), join(dir, "out"));
    expect(read("xcopa/et/test.jsonl.gz")).toEqual([{ inputs: "cause: P choice1: X choice2: Y", targets: "choice2" }]);
  });

  it("the language of mC4's documents", async () => {
    const text = `${JSON.stringify({ text: "Alle mense\nis vry" })}\n`;
    const from = folder("lid", { "c4-af.tfrecord-00000-of-00001.json.gz": text });
    await convertTask("language-id", from, join(dir, "out"));
    expect(read("language-id/af/train.jsonl.gz")).toEqual([{ inputs: "language: Alle mense is vry", targets: "af" }]);
  });

  it("names a line that is not the task's, and a folder without its files", async () => {
    const from = folder("bad", { "et-val.jsonl": '{"premise": "P"}' });
    await expect(convertTask("xcopa", from, join(dir, "out"))).rejects.toMatchObject({ code: "task-invalid" });
    await expect(convertTask("xquad", from, join(dir, "out"))).rejects.toMatchObject({ code: "task-unreadable" });
    // SQuAD's own form of an answer, no answer, no question: none of them is a text.
    const qas = [{ question: "Q?", answers: [{ text: "A" }] }, { question: "Q?", answers: [] }, { answers: ["A"] }];
    for (const [i, one] of qas.entries()) {
      const quad = folder(`quad-${i}`, { "en.jsonl": JSON.stringify({ context: "C", qas: [one] }) });
      await expect(convertTask("xquad", quad, join(dir, "out"))).rejects.toMatchObject({
        code: "task-invalid",
        why: expect.stringContaining("question and answers"),
      });
    }
    const copa = folder("copa", { "et-val.jsonl": '{"premise": "P", "choice1": "X", "choice2": "Y", "label": 0}' });
    await expect(convertTask("xcopa", copa, join(dir, "out"))).rejects.toMatchObject({ code: "task-invalid" });
  });
});

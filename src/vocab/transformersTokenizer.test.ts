import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { readModelFile } from "./sentencepiece/modelFile.js";
import { tokenizerFault, transformersTokenizer } from "./transformersTokenizer.js";

// That Transformers gives SentencePiece's ids with these files is tested in test/transformers.test.ts.
const model = readModelFile(fileURLToPath(new URL("../../vocab/sample.model", import.meta.url)));

test("the model as it is, all its pieces, and the sentinels above them", () => {
  const files = transformersTokenizer(model);
  expect(files.get("spiece.model")).toBe(model.bytes);
  const { model: unigram, added_tokens: added } = JSON.parse(files.get("tokenizer.json") as string);
  expect(unigram).toMatchObject({ type: "Unigram", unk_id: 2, byte_fallback: true });
  expect(unigram.vocab).toHaveLength(6100);
  expect(unigram.vocab[6099]).toEqual(["<extra_id_0>", 0]);
  expect(added.map(({ content }: { content: string }) => content)).toEqual([
    ...["<pad>", "</s>", "<unk>"],
    ...Array.from({ length: 100 }, (_, k) => `<extra_id_${99 - k}>`),
  ]);
});

test("what tokenizer.json cannot say is refused", () => {
  expect(tokenizerFault(model)).toBeUndefined();
  const bpe = { ...model, trainer: { ...model.trainer, modelType: "bpe" as const } };
  expect(tokenizerFault(bpe)).toContain("bpe");
  expect(() => transformersTokenizer(bpe)).toThrow(expect.objectContaining({ code: "vocabulary-not-exportable" }));
  expect(tokenizerFault({ ...model, trainer: { ...model.trainer, treatWhitespaceAsSuffix: true } })).toBeDefined();
});

import { fileURLToPath } from "node:url";
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { randomStream } from "../../base/random.js";
import { createDecoder } from "../../vocab/encode/createDecoder.js";
import { createEncoder } from "../../vocab/encode/createEncoder.js";
import { loadVocabulary } from "../../vocab/loadVocabulary.js";
import { exampleLengths } from "./exampleLengths.js";
import { corruptSpans, uncorrupt } from "./spanCorruption.js";

const model = fileURLToPath(new URL("../../../vocab/sample.model", import.meta.url));
const vocabulary = await loadVocabulary(model);
const encoder = await createEncoder(model);
const decoder = createDecoder(model);

/** Words of many scripts, written as SentencePiece's normalization leaves them, so that text comes back letter for letter. */
const words = [
  "All",
  "human",
  "beings",
  "人人生而自由",
  "מוּלדים",
  "свободными",
  "बिना",
  "ทุกคน",
  "자유로운",
  "🙂",
  "Ⴀ",
  "nyob,",
];

test("decoding inputs and targets together gives the original text back", () => {
  const text = fc.array(fc.constantFrom(...words), { minLength: 2, maxLength: 60 }).map((list) => list.join(" "));
  fc.assert(
    fc.property(text, fc.nat(), fc.constantFrom(64, 128, 512), (original, seed, inputLength) => {
      const lengths = exampleLengths(inputLength);
      const tokens = Int32Array.from(encoder.encode(new TextEncoder().encode(original))).slice(0, lengths.tokens);
      const inputs = new Int32Array(lengths.inputs);
      const targets = new Int32Array(lengths.targets);
      corruptSpans(tokens, vocabulary, randomStream(seed), inputs, targets);

      const restored = decoder.decode(uncorrupt(inputs, targets, vocabulary));
      expect(restored).toBe(decoder.decode(tokens));
      // A segment may cut a long text off; one that fits comes back whole.
      if (tokens.length < lengths.tokens) expect(restored).toBe(original);
      expect(decoder.decode(inputs)).toContain("<extra_id_0>");
    }),
    { numRuns: 300 },
  );
});

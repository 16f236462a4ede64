import { usageError } from "../../base/errors.js";
import type { Vocabulary } from "../../vocab/vocabulary.js";
import type { Corruption, ExampleLengths } from "../batch.js";

/** Round half to even, as TensorFlow and Python do and Math.round does not. */
function roundHalfToEven(x: number): number {
  const floor = Math.floor(x);
  const rest = x - floor;
  if (rest !== 0.5) return rest < 0.5 ? floor : floor + 1;
  return floor % 2 === 0 ? floor : floor + 1;
}

/**
 * How many of `tokens` (at least 2) raw tokens are masked, and in how many spans: T5's `random_spans_noise_mask`, which computes
 * in float32. The product and the quotient of two float32 values are exact enough in float64 that one `fround` gives TF's bits.
 * There are no more spans than kept tokens, of which one stands before each span; T5 draws no mask there.
 */
export function noiseCounts(
  tokens: number,
  { noiseDensity = 0.15, meanNoiseSpanLength = 3 }: Corruption = {},
): { noise: number; spans: number } {
  const rounded = roundHalfToEven(Math.fround(tokens * Math.fround(noiseDensity)));
  const noise = Math.min(Math.max(rounded, 1), tokens - 1);
  const parts = roundHalfToEven(Math.fround(noise / Math.fround(meanNoiseSpanLength)));
  const spans = Math.min(Math.max(parts, 1), tokens - noise);
  return { noise, spans };
}

/** Encoder and decoder positions that `tokens` raw tokens take, one sentinel a span and one end-of-sequence each. */
function encodedLengths(tokens: number, corruption?: Corruption): ExampleLengths {
  const { noise, spans } = noiseCounts(tokens, corruption);
  return { inputs: tokens - noise + spans + 1, tokens, targets: noise + spans + 1 };
}

/**
 * The lengths of T5's `random_spans_helper`: the most raw tokens whose corrupted inputs fit `inputLength` encoder positions.
 * 512 → 568 tokens, 114 targets; 1024 → 1137, 229. Inputs of a full example fill `inputLength` exactly; where most tokens are masked they
 * may be a position shorter.
 *
 * T5 counts here in float64 and masks in float32, so that for 1 input length in 100 (640, 1216, …) its targets are two positions
 * too short and lose their last tokens. Here both counts are the mask's, and nothing is ever cut off.
 *
 * @throws usageError where `inputLength` is not an integer of at least 3 (one token, one sentinel, end-of-sequence)
 */
export function exampleLengths(inputLength: number, corruption?: Corruption): ExampleLengths {
  if (!Number.isSafeInteger(inputLength) || inputLength < 3) {
    throw usageError(`an input length of ${inputLength} holds no span-corruption example`, {
      code: "input-length-invalid",
      why: "it must be an integer of at least 3: one token, one sentinel and the end of the sequence",
    });
  }
  let lengths = encodedLengths(2, corruption);
  // Input positions never shrink with a raw token more, so this ends at the largest fit.
  for (let tokens = 3; ; tokens++) {
    const longer = encodedLengths(tokens, corruption);
    if (longer.inputs > inputLength) return lengths;
    lengths = longer;
  }
}

/**
 * Refuses, before any work, an input length whose examples have more masked spans than the vocabulary has sentinels (2048 needs
 * 114, mT5 has 100).
 */
export function requireSentinels(
  lengths: ExampleLengths,
  vocabulary: Pick<Vocabulary, "sentinelIds" | "path">,
  corruption?: Corruption,
): void {
  const { spans } = noiseCounts(lengths.tokens, corruption);
  const sentinels = vocabulary.sentinelIds.length;
  if (spans <= sentinels) return;
  throw usageError(`an input length of ${lengths.inputs} needs ${spans} sentinels, the vocabulary has ${sentinels}`, {
    code: "vocabulary-sentinels-too-few",
    where: vocabulary.path,
    why: `${lengths.tokens} raw tokens are masked in ${spans} spans, each with a sentinel of its own`,
    hint: "Choose a shorter input length (1024 needs 57 sentinels), longer spans, or a vocabulary with more sentinels.",
  });
}

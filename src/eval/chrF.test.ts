import { expect, it } from "vitest";
import { chrF } from "./chrF.js";

/** Scores of sacreBLEU 2.6.0, `CHRF().corpus_score`, and the outputs they are of: prediction and references. */
const recorded: [score: number, outputs: [string, string[]][]][] = [
  [49.6485170311433, [["The cat sat on the mat.", ["The cat is sitting on the mat."]]]],
  [
    69.44444444444446,
    [
      ["abc", ["abc"]],
      ["xyz", ["xyw"]],
    ],
  ],
  [0.0, [["", ["something"]]]],
  [100.0, [["a", ["a"]]]],
  [23.404255319148938, [["ab", ["abcdefgh"]]]],
  [47.945205479452056, [["abcdefghij", ["ab"]]]],
  [40.20251814175963, [["人皆生而自由，在尊严和权利上一律平等。", ["人人生而自由,在尊嚴和權利上一律平等。"]]]],
  [
    61.46785749586421,
    [
      ["😀 grinning face", ["😀 grin"]],
      ["ทุกคนเกิดมามีอิสระ", ["คนเกิดมามีอิสระและเสมอภาค"]],
      ["सभी मनुष्य", ["सभी मनुष्यों को"]],
    ],
  ],
  [
    85.66741168287516,
    [
      ["one reference or other", ["one reference", "another one or other"]],
      ["two", ["to", "two three"]],
    ],
  ],
  [
    85.90711140088071,
    [
      ["zwei\tund zwanzig", ["zweiundzwanzig"]],
      ["drei  hundert", ["dreihundert eins"]],
    ],
  ],
  [0.0, [["xyz", ["abc"]]]],
];

it.each(recorded)("is sacreBLEU's: %f", (score, outputs) => {
  expect(chrF(outputs.map(([prediction, references]) => ({ prediction, references })))).toBeCloseTo(score, 10);
});

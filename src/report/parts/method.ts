import { bigSpeedup } from "../../analysis/summary.js";

/** How the figures were made: one paragraph each, for the page and for Markdown. */
export const method: [title: string, text: string][] = [
  [
    "Quality",
    "Negative log perplexity: the mean log probability per target token of span corruption, natural logarithm, on the same fixed validation examples at every evaluation of every run. Higher is better.",
  ],
  [
    "Step speed-up",
    "The baseline's steps to its final quality divided by the first step at which the candidate is as good as the finished baseline (Switch Transformers, footnote 9 and Figure 8). Between two evaluations a curve is taken as a straight line, which lies under a learning curve and so dates a crossing late rather than early. A dip in a curve is noise of measurement, so curves are first made to rise by isotonic regression; one that rises is left as it is, and a run against itself always has a speed-up of 1.",
  ],
  [
    "Time and FLOPs",
    "The same pair of steps, in seconds of training (evaluation and checkpoints not counted, interpolated in the log) and in floating-point operations of forward and backward pass.",
  ],
  [
    "Marks",
    "≥ the candidate was as good before its first evaluation: a lower bound. † the candidate never was as good: the baseline's first step at the candidate's final quality divided by the candidate's; ≤ where the baseline was there before its first evaluation.",
  ],
  [
    "Intervals",
    "95 % percentile intervals from bootstrap resamples (1,000 unless asked otherwise) of each language's validation examples, the same draw for both sides and all evaluations. Where a side has several seeds, each resample also moves its mean curve as Student's t of the seeds has it, the same for both sides where they have the same seeds. Those of means, medians and shares over languages are centred on their values. With one seed a side they say how much the choice of validation examples matters, not how much another training seed would.",
  ],
  [
    "Averages",
    `Every task or language counts the same. Over languages, the task in a language's own script stands for it; its Latin-script variant is a task of its own. Means are arithmetic, as in the paper, and bounds enter them as they are; “${bigSpeedup}× or more” counts the values at or above ${bigSpeedup}.`,
  ],
];

/** Fixed shapes of an example: of span corruption (512 → 568 raw tokens → 114 targets), or of a text-to-text pair. */
export interface ExampleLengths {
  /** Encoder positions, end-of-sequence included. */
  inputs: number;
  /** Raw tokens cut from the language's run for one example; of a pair at most. */
  tokens: number;
  /** Decoder positions, end-of-sequence included. */
  targets: number;
}

/** Examples in fixed shapes, one a row, padded with 0 on the right: a target counts where it is not 0. */
export interface ExampleRows {
  batchSize: number;
  lengths: ExampleLengths;
  /** Encoder ids, [batchSize, lengths.inputs] row-major. */
  inputs: Int32Array;
  /** Decoder targets, [batchSize, lengths.targets] row-major; the model shifts them right itself. */
  targets: Int32Array;
  /** Rows hold several examples, each side of one ended by this id; absent: a row is one example. */
  endId?: number;
}

/** One global batch. */
export interface Batch extends ExampleRows {
  step: number;
  /** Index into `ExampleStream.languages` of each row, [batchSize]. */
  languages: Int32Array;
}

/** One language's fixed evaluation examples. */
export interface ValidationExamples extends ExampleRows {
  language: string;
}

/**
 * How languages share the batches. `temperature`: p ∝ |L|^alpha with |L| in documents (mT5's reading), alpha 1/3.3 by default.
 * `proportional`: p ∝ tokens, so that every language is read equally often. `uniform`: the same for each. `unimax`: as even as
 * a budget of training tokens allows without reading any language more than `maxEpochs` (1 by default) times.
 */
export type Mixing =
  | { strategy: "temperature"; alpha?: number }
  | { strategy: "proportional" }
  | { strategy: "uniform" }
  | { strategy: "unimax"; maxEpochs?: number; budgetTokens: number };

/** How much of a text is masked. */
export interface Corruption {
  /** Share of the tokens that are masked, above 0 and at most 0.9; 0.15 where left out. */
  noiseDensity?: number;
  /** Tokens of a masked span in the mean, at least 1; 3 where left out. */
  meanNoiseSpanLength?: number;
}

/** What examples are made of a dataset, and how long they are. */
export interface ExampleShape extends Corruption {
  /** `span-corruption` (default) of a dataset of text, or the pairs of a dataset of pairs. */
  objective?: "span-corruption" | "pairs";
  /** Encoder positions; of span corruption the other lengths follow from it. */
  inputLength: number;
  /** Decoder positions of pairs. */
  targetLength?: number;
  /** As many pairs of a language in a row as fit; else each has a row of its own. */
  packing?: boolean;
}

export interface StreamConfig extends ExampleShape {
  seed: number;
  batchSize: number;
  mixing: Mixing;
  /** Only these codes; all of the dataset where left out. */
  languages?: string[];
}

/** The training data as a pure function of the step: no iterator state. */
export interface ExampleStream {
  languages: string[];
  /** Sampling probability of each language, same order. */
  probabilities: Float64Array;
  lengths: ExampleLengths;
  batch(step: number): Batch;
  /** Times each language has been read through after `steps` steps, same order. */
  epochs(steps: number): Float64Array;
}

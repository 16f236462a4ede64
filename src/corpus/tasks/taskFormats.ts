import type { Split } from "../shards/shard.js";

/** A text-to-text example. */
export interface Pair {
  inputs: string;
  targets: string;
}

/** How a published task's files become pairs. Functions throw a plain Error that says what a line lacks. */
export interface TaskFormat {
  /** What it is, for the command's help. */
  title: string;
  /** Language and split of a file by its name; undefined for a file of another kind. */
  fileOf(name: string): { language: string; split: "train" | "dev" | "val" | "test" | "all" } | undefined;
  /** The pairs of a line; a header line gives none. */
  pairsOf(line: string): Pair[];
  /** Where pairs of a file go that is not one split as it stands. @param at which line of how many */
  splitOf?(split: string, at: number, lines: number): Split;
}

/** mC4's or BCP 47's codes of MasakhaNEWS's languages. */
const masakhaCodes: Record<string, string> = {
  ...{ amh: "am", eng: "en", fra: "fr", hau: "ha", ibo: "ig", lin: "ln", lug: "lg", orm: "om", pcm: "pcm", run: "rn" },
  ...{ sna: "sn", som: "so", swa: "sw", tir: "ti", xho: "xh", yor: "yo" },
};

/** MasakhaNEWS (Adelani et al. 2023, arXiv 2304.09972): LANGUAGE-{train,dev,test}.tsv with category, headline and text. */
const masakhanews: TaskFormat = {
  title: "topic of a news article, 16 African languages (MasakhaNEWS)",
  fileOf(name) {
    const match = /^([a-z]{3})-(train|dev|test)\.tsv$/.exec(name);
    const language = match ? masakhaCodes[match[1]] : undefined;
    return match && language ? { language, split: match[2] as "train" | "dev" | "test" } : undefined;
  },
  pairsOf(line) {
    const [category, headline = "", text = ""] = line.split("\t");
    if (category === "category") return [];
    if (!category || !headline) throw new Error("it has no category and headline, separated by tabs");
    return [{ inputs: `topic: ${headline} ${text}`.trim(), targets: category }];
  },
};

/**
 * XQuAD (Artetxe et al. 2020, arXiv 1910.11856): LANGUAGE.jsonl with a paragraph, its questions and answers. It is published as a test set
 * alone: here the first two thirds of its paragraphs are for training, a sixth for validation, a sixth to test on, the same in every language.
 */
const xquad: TaskFormat = {
  title: "answer to a question on a paragraph, 12 languages (XQuAD)",
  fileOf(name) {
    const language = /^([a-z]{2})\.jsonl$/.exec(name)?.[1];
    return language ? { language, split: "all" } : undefined;
  },
  pairsOf(line) {
    const { context, qas } = JSON.parse(line) as {
      context?: string;
      qas?: { question?: unknown; answers?: unknown[] }[];
    };
    if (!context || !Array.isArray(qas)) throw new Error("it has no context and qas");
    return qas.map(({ question, answers }) => {
      const answer = answers?.[0];
      if (typeof question !== "string" || typeof answer !== "string") {
        throw new Error("one of its qas has no question and answers that are texts");
      }
      return { inputs: `question: ${question} context: ${context}`, targets: answer };
    });
  },
  splitOf: (_, at, lines) => (at < (2 * lines) / 3 ? "train" : at < (5 * lines) / 6 ? "validation" : "test"),
};

/** XCOPA (Ponti et al. 2020, arXiv 2005.00333): LANGUAGE-{val,test}.jsonl. A fifth of `val` is kept for validation. */
const xcopa: TaskFormat = {
  title: "the more plausible cause or effect, 11 languages (XCOPA)",
  fileOf(name) {
    const match = /^([a-z]{2})-(val|test)\.jsonl$/.exec(name);
    return match ? { language: match[1], split: match[2] as "val" | "test" } : undefined;
  },
  pairsOf(line) {
    const { premise, choice1, choice2, question, label } = JSON.parse(line) as Record<string, string | number>;
    if (!premise || !choice1 || !choice2 || !question || (label !== 0 && label !== 1)) {
      throw new Error("it has no premise, choice1, choice2, question and label");
    }
    return [
      {
        inputs: `${question}: ${premise} choice1: ${choice1} choice2: ${choice2}`,
        targets: label === 0 ? "choice1" : "choice2",
      },
    ];
  },
  splitOf: (split, at, lines) => (split === "test" ? "test" : at < (4 * lines) / 5 ? "train" : "validation"),
};

/** Documents of an mC4-shaped corpus, told by their first words. */
const languageId: TaskFormat = {
  title: "language of a text, from mC4's shards (data/sample)",
  fileOf(name) {
    const match = /^c4-(.+?)(-validation)?\.tfrecord-\d+-of-\d+\.jsonl?$/.exec(name);
    return match ? { language: match[1], split: match[2] ? "dev" : "train" } : undefined;
  },
  pairsOf(line) {
    const { text } = JSON.parse(line) as { text?: string };
    if (!text) throw new Error("it has no text");
    return [{ inputs: `language: ${[...text.replaceAll(/\s+/g, " ")].slice(0, 120).join("").trim()}`, targets: "" }];
  },
};

/** Tasks by the name that `mswitch tasks` takes, which is their folder's. */
export const taskFormats = { masakhanews, xquad, xcopa, "language-id": languageId } as const;
export type TaskName = keyof typeof taskFormats;

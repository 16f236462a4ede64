import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import * as z from "zod";
import { loadBackend } from "../backends/loadBackend.js";
import { messageOf, usageError } from "../base/errors.js";
import type { Log } from "../base/log.js";
import { loadModel } from "../model/checkpoint/huggingFace.js";
import { disposeParameters } from "../model/parameters.js";
import { loadVocabulary } from "../vocab/loadVocabulary.js";
import { openTokenizer } from "../vocab/tokenizer.js";
import { type GenerateTextOptions, generateTexts } from "./generateTexts.js";
import type { TaskMetric } from "./taskMetrics.js";
import { type TaskResult, taskResults } from "./taskResults.js";

export interface GenerateFileOptions extends GenerateTextOptions {
  format: "text" | "jsonl";
  /** Of JSONL: the key whose text is read. */
  field: string;
  /** Of JSONL lines with `targets`: what the outputs are measured by. */
  metrics: readonly TaskMetric[];
  /** A SentencePiece model; the one in the model's directory where left out. */
  vocabulary?: string;
  backend?: string;
  log: Log;
}

export interface GenerateFileResult {
  backend: string;
  /** One for each line of the input; of JSONL its object with `output`. */
  lines: (string | Record<string, unknown>)[];
  results: TaskResult[];
  /** Sources that were cut, and texts that the model did not end. */
  cutSources: number;
  unended: number;
}

/** A line of a file: what no example is. */
const mostLines = 1e7;

/**
 * What a model writes for each line of a text.
 *
 * @param directory of the model: one of ours or of Transformers'
 * @param text lines of text, or of JSON objects
 * @throws usageError where a line is none, or there is no vocabulary; MswitchError for a damaged model
 */
export async function generateFile(
  directory: string,
  text: string,
  { format, field, metrics, vocabulary, backend: wanted, log, ...options }: GenerateFileOptions,
): Promise<GenerateFileResult> {
  const lines = text.split("\n");
  if (lines.at(-1) === "") lines.pop();
  if (lines.length > mostLines) {
    throw usageError(`${lines.length} lines are too many at once`, {
      code: "input-too-large",
      hint: "split the input",
    });
  }
  const objects = format === "jsonl" ? lines.map((line, i) => parseLine(line, i + 1, field)) : undefined;
  const sources = objects?.map((object) => object[field] as string) ?? lines;
  const path = vocabulary ?? join(directory, "spiece.model");
  if (!existsSync(path)) {
    throw usageError("there is no vocabulary", {
      code: "vocabulary-not-found",
      where: path,
      hint: "name the model's SentencePiece file: --vocab FILE",
    });
  }
  const backend = await loadBackend(wanted);
  log.info(`backend ${backend.name}: ${backend.description}`);
  const model = await loadModel(directory);
  try {
    const { vocabSize } = model.config;
    const mostBeams = Math.floor(vocabSize / 2);
    if ((options.beams ?? 1) > mostBeams) {
      throw usageError(`--beams ${options.beams} is not a number between 1 and ${mostBeams}`, {
        code: "flag-invalid",
        where: "--beams",
        why: `each beam takes two of the model's ${vocabSize} tokens`,
      });
    }
    const words = await loadVocabulary(path);
    if (words.size > vocabSize) {
      throw usageError("the vocabulary is not the model's", {
        code: "vocabulary-model-mismatch",
        where: path,
        why: `it has ${words.size} pieces, the model ${vocabSize} rows`,
      });
    }
    const tokenizer = await openTokenizer(path);
    const written = await generateTexts({ ...model, tokenizer, vocabulary: words }, sources, options);
    const outputs = objects?.flatMap((object, i) => {
      if (object.targets === undefined) return [];
      const { task = "", lang = "", targets } = object;
      const references = typeof targets === "string" ? [targets] : targets;
      return [{ task, lang, prediction: written[i].text, references }];
    });
    return {
      backend: backend.name,
      lines: written.map(({ text: output, score }, i) =>
        objects ? { ...objects[i], output, ...(score === undefined ? {} : { score }) } : output,
      ),
      results: taskResults(outputs ?? [], metrics),
      cutSources: written.filter(({ cutTokens }) => cutTokens > 0).length,
      unended: written.filter(({ isEnded }) => !isEnded).length,
    };
  } finally {
    disposeParameters(model.params);
  }
}

const lineSchema = z.looseObject({
  targets: z.union([z.string(), z.array(z.string()).min(1)]).optional(),
  task: z.string().optional(),
  lang: z.string().optional(),
});

function parseLine(line: string, number: number, field: string): z.infer<typeof lineSchema> {
  const fault = (why: string): Error =>
    usageError("a line of the input is no example", {
      code: "generate-input-invalid",
      where: `line ${number}`,
      why,
      hint: `each line is a JSON object with the text under ${JSON.stringify(field)} (--field)`,
    });
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch (error) {
    throw fault(messageOf(error));
  }
  const parsed = lineSchema.safeParse(value);
  if (!parsed.success) throw fault(parsed.error.issues[0].message);
  if (typeof parsed.data[field] !== "string") throw fault(`it has no text under ${JSON.stringify(field)}`);
  return parsed.data;
}

/** The text of a file, or of standard input. */
export async function readInput(path: string | undefined): Promise<string> {
  if (path !== undefined) {
    try {
      return textOf(await readFile(path));
    } catch (error) {
      throw usageError("the input cannot be read", {
        code: "generate-input-invalid",
        where: path,
        why: messageOf(error),
      });
    }
  }
  const parts: Buffer[] = [];
  for await (const part of process.stdin) parts.push(part as Buffer);
  return textOf(Buffer.concat(parts));
}

/** Without the byte order mark that some editors write. */
function textOf(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes);
}

import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { writeFileAtomic } from "../../src/base/atomicFile.js";
import type { Split } from "../../src/corpus/shards/shard.js";
import { formatShardName } from "../../src/corpus/shards/shardName.js";
import { declarations } from "./declarations.js";
import { readDeclaration } from "./readDeclaration.js";

export interface SampleShard {
  name: string;
  /** The uncompressed file: one JSON object a line. */
  content: string;
}

/**
 * Articles 2, 12 and 22, a tenth of the declaration by number and by length, are held out in every language: no translation of
 * an article of validation is trained on, and validation says the same things in every language.
 */
function splitOf(article: number): Split {
  return article % 10 === 2 ? "validation" : "train";
}

/** The day the declaration was proclaimed. */
const timestamp = "1948-12-10T00:00:00Z";

/** The shipped sample: one train and one validation shard a language, an article of the declaration a document. */
export function buildSample(): SampleShard[] {
  return Object.entries(declarations).flatMap(([language, declaration]) => {
    const articles = readDeclaration(declaration);
    return (["train", "validation"] as const).map((split) => ({
      name: formatShardName(language, split, 0, 1),
      content: articles
        .filter(({ number }) => splitOf(number) === split)
        .map(({ number, text }) => {
          const url = `udhr:${declaration}#${number === 0 ? "preamble" : `article-${number}`}`;
          return `${JSON.stringify({ text, timestamp, url })}\n`;
        })
        .join(""),
    }));
  });
}

/** Writes the sample's shards into a directory, the same bytes each time. */
export async function writeSample(directory: string): Promise<SampleShard[]> {
  const shards = buildSample();
  for (const { name, content } of shards) {
    const compressed = gzipSync(content, { level: 9 });
    // The byte that names the operating system: unknown. Node writes no time.
    compressed[9] = 255;
    await writeFileAtomic(join(directory, name), compressed);
  }
  return shards;
}

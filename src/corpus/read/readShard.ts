import type { Shard } from "../shards/shard.js";
import { compressionOf } from "./decompress.js";
import type { DocumentChunk } from "./document.js";
import { formatOf } from "./format.js";
import { type ReadDocumentsOptions, readDocuments } from "./readDocuments.js";

/**
 * `readDocuments` of a shard, from its own place or a copy: its name says how it is packed, and of a file that both splits share only the
 * documents and rejections of its split are given.
 */
export async function* readShard(
  { name, path, copy, textField, pairs, holdOut }: Shard,
  options: Pick<ReadDocumentsOptions, "maxLineBytes" | "clock"> = {},
): AsyncGenerator<DocumentChunk, void> {
  const fields = pairs ? { textField: pairs.inputs, targetsField: pairs.targets } : { textField };
  const kind = { compression: compressionOf(name), format: formatOf(name), ...fields };
  const chunks = readDocuments(copy?.file ?? path, { ...options, ...kind });
  if (!holdOut) {
    yield* chunks;
    return;
  }
  const { every, held } = holdOut;
  const takes = ({ line }: { line: number }): boolean => (line % every === 0) === held;
  for await (const { documents, rejections, summary } of chunks) {
    // A file that cannot be read is the concern of both.
    const unreadable = rejections.filter((one) => one.cause === "unreadable" || takes(one));
    yield { documents: documents.filter(takes), rejections: unreadable, summary };
  }
}

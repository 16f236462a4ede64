import { mkdir, open, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { Split } from "../src/corpus/shards/shard.js";
import { batchBuffers, TokenFileWriter } from "../src/dataset/format/arrowWriter.js";
import { addToManifest, emptyManifest, manifestFile, vocabularyFile } from "../src/dataset/format/buildManifest.js";
import { loadVocabulary } from "../src/vocab/loadVocabulary.js";
import { memoryToken } from "./memoryDataset.js";

/** A protobuf field of length-delimited bytes (all lengths here are below 128). */
const field = (number: number, bytes: Uint8Array): Uint8Array =>
  Buffer.concat([Uint8Array.of(number * 8 + 2, bytes.length), bytes]);

/** A SentencePiece model of made-up pieces: pad, eos and unk as T5 has them, then p3, p4, … */
function modelBytes(pieces: number): Uint8Array {
  const special = ["<pad>", "</s>", "<unk>"];
  const types = [3, 3, 2];
  const all = Array.from({ length: pieces }, (_, id) => {
    const text = field(1, Buffer.from(special[id] ?? `p${id}`));
    const score = Buffer.from([2 * 8 + 5, 0, 0, 0, 0]);
    const type = Buffer.from([3 * 8, types[id] ?? 1]);
    return field(1, Buffer.concat([text, score, type]));
  });
  // The trainer's and the normalizer's options, all left at SentencePiece's defaults.
  return Buffer.concat([...all, field(2, new Uint8Array()), field(3, new Uint8Array())]);
}

/** Writes a tokenized dataset of made-up tokens, the same as `memoryDataset`'s, one shard a split. */
export async function writeDiskDataset(
  dir: string,
  sizes: Record<string, Partial<Record<Split, number>>>,
): Promise<void> {
  await mkdir(dir, { recursive: true });
  await writeFile(join(dir, vocabularyFile), modelBytes(1000));
  const vocabulary = await loadVocabulary(join(dir, vocabularyFile));
  const manifest = emptyManifest(vocabulary);
  const none = "0".repeat(64);
  for (const language of Object.keys(sizes).sort()) {
    for (const split of ["train", "validation"] as const) {
      const tokens = sizes[language][split];
      if (tokens === undefined) continue;
      const file = join(language, `${split}-00000-of-00001.arrow`);
      await mkdir(dirname(join(dir, file)), { recursive: true });
      const handle = await open(join(dir, file), "w");
      const writer = new TokenFileWriter(handle.fd, batchBuffers(manifest.tokenType), {});
      writer.add(
        Uint32Array.from({ length: tokens }, (_, i) => memoryToken(language, split, i)),
        1,
        tokens,
      );
      const output = { file, ...writer.finish() };
      await handle.close();
      addToManifest(manifest, {
        format: 1,
        source: { name: "made up", path: "made up", bytes: 0, sha256: none },
        language,
        split,
        index: 0,
        count: 1,
        vocabulary: vocabulary.fingerprint,
        options: {},
        documents: 1,
        tokens,
        textBytes: tokens,
        rejected: {},
        output,
      });
    }
  }
  await writeFile(join(dir, manifestFile), JSON.stringify(manifest));
}

import { type FileHandle, open } from "node:fs/promises";
import { type BatchLayout, readBatchLayouts } from "../format/arrowBlocks.js";
import type { TokenType } from "../format/tokenType.js";
import { damagedTokenFile } from "./tokenFileFault.js";

/** Some documents of a token file, a row each, in the order of the source. */
export interface RowBatch {
  /** Row i's tokens are `tokens[offsets[i], offsets[i + 1])`: [rows + 1]. */
  offsets: Int32Array;
  tokens: Uint16Array | Uint32Array;
  /** 1-based line of the source: [rows]. */
  lines: Uint32Array;
  /** UTF-8 bytes of the text: [rows]. */
  bytes: Uint32Array;
}

/**
 * Reads a token file as `TokenFileWriter` cut it: about a million tokens or 65,536 documents at a time, a longer document whole.
 *
 * @throws MswitchError naming the file, where it is damaged or its tokens have another type
 */
export async function* readRowBatches(path: string, tokenType: TokenType): AsyncGenerator<RowBatch, void> {
  const file = await open(path, "r").catch((error: Error) => {
    throw damagedTokenFile(path, error.message);
  });
  try {
    const { size } = await file.stat();
    const { width, batches } = readBatchLayouts(file.fd, size, path);
    if (width !== (tokenType === "uint16" ? 2 : 4)) throw damagedTokenFile(path, `its tokens are not ${tokenType}`);
    for (const layout of batches) yield await readBatch(file, path, layout, width);
  } finally {
    await file.close();
  }
}

async function readBatch(
  file: FileHandle,
  path: string,
  { rows, tokens, offsets, values, lines, bytes }: BatchLayout,
  width: 2 | 4,
): Promise<RowBatch> {
  const fill = async <T extends Int32Array | Uint16Array | Uint32Array>(array: T, position: number): Promise<T> => {
    const into = new Uint8Array(array.buffer);
    for (let done = 0; done < into.length; ) {
      const { bytesRead } = await file.read(into, done, into.length - done, position + done);
      if (bytesRead === 0) throw damagedTokenFile(path, `it ends before byte ${position + into.length}`);
      done += bytesRead;
    }
    return array;
  };
  const batch: RowBatch = {
    offsets: await fill(new Int32Array(rows + 1), offsets),
    tokens: await fill(width === 2 ? new Uint16Array(tokens) : new Uint32Array(tokens), values),
    lines: await fill(new Uint32Array(rows), lines),
    bytes: await fill(new Uint32Array(rows), bytes),
  };
  const ascends = batch.offsets.every((offset, i) => i === 0 || offset >= batch.offsets[i - 1]);
  if (batch.offsets[0] !== 0 || batch.offsets[rows] !== tokens || !ascends) {
    throw damagedTokenFile(path, `its rows do not lie end to end over its ${tokens} tokens`);
  }
  return batch;
}

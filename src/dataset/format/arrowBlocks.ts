import { readSync } from "node:fs";
import { Footer } from "apache-arrow/fb/footer";
import { Int } from "apache-arrow/fb/int";
import { Message } from "apache-arrow/fb/message";
import { MessageHeader } from "apache-arrow/fb/message-header";
import { RecordBatch } from "apache-arrow/fb/record-batch";
import { Type } from "apache-arrow/fb/type";
import { ByteBuffer } from "flatbuffers";
import { MswitchError } from "../../base/errors.js";
import { damagedTokenFile } from "../read/tokenFileFault.js";

/** Where the columns of one record batch lie in its file: byte positions of the first element of each. */
export interface BatchLayout {
  /** Documents. */
  rows: number;
  /** Tokens of all of them. */
  tokens: number;
  /** Where each row's tokens begin and the last one's end, counted in the batch: Int32[rows + 1]. */
  offsets: number;
  /** Uint16 or Uint32, by the file's width: [tokens]. */
  values: number;
  /** Uint32[rows]. */
  lines: number;
  /** Uint32[rows]. */
  bytes: number;
}

/** Where the tokens of an Arrow file written by `TokenFileWriter` lie: the values buffer of each record batch. */
export interface TokenBlocks {
  /** Bytes of one token. */
  width: 2 | 4;
  /** Tokens before each batch, and the total at the end: [batches + 1]. */
  starts: Float64Array;
  /** Byte position in the file of each batch's first token: [batches]. */
  positions: Float64Array;
}

const magic = "ARROW1";
/** `ARROW1` and padding at the start; footer length and `ARROW1` at the end. */
const headBytes = 8;
const tailBytes = 10;
/** A footer holds 24 bytes a batch: this is a shard of 10^12 tokens. */
const maxFooterBytes = 2 ** 25;
const maxMessageBytes = 2 ** 16;
const blockBytes = 24;

/**
 * Finds the tokens of an Arrow file without reading them.
 *
 * @throws MswitchError naming the file, where it is cut short, damaged, or not one of ours
 */
export function readTokenBlocks(fd: number, fileBytes: number, path: string): TokenBlocks {
  const { width, batches } = readBatchLayouts(fd, fileBytes, path);
  const starts = new Float64Array(batches.length + 1);
  for (const [i, { tokens }] of batches.entries()) starts[i + 1] = starts[i] + tokens;
  return { width, starts, positions: Float64Array.from(batches, ({ values }) => values) };
}

/**
 * Finds the columns of an Arrow file without reading them. Every length and position found in the file is held against the
 * file's true size before it is used.
 *
 * @throws MswitchError naming the file, where it is cut short, damaged, or not one of ours
 */
export function readBatchLayouts(
  fd: number,
  fileBytes: number,
  path: string,
): { width: 2 | 4; batches: BatchLayout[] } {
  const damaged = (why: string): MswitchError => damagedTokenFile(path, why);
  const readAt = (position: number, length: number): Buffer => {
    const bytes = Buffer.alloc(length);
    if (readSync(fd, bytes, 0, length, position) !== length) throw damaged(`it ends before byte ${position + length}`);
    return bytes;
  };

  if (fileBytes < headBytes + tailBytes) throw damaged(`it has only ${fileBytes} bytes`);
  const tail = readAt(fileBytes - tailBytes, tailBytes);
  if (readAt(0, magic.length).toString("latin1") !== magic || tail.toString("latin1", 4) !== magic) {
    throw damaged("it does not begin and end as an Arrow file does");
  }
  const footerBytes = tail.readInt32LE(0);
  const footerStart = fileBytes - tailBytes - footerBytes;
  if (footerBytes <= 0 || footerBytes > maxFooterBytes || footerStart < headBytes) {
    throw damaged(`its footer claims ${footerBytes} bytes`);
  }
  try {
    const footer = Footer.getRootAsFooter(new ByteBuffer(readAt(footerStart, footerBytes)));
    const width = tokenWidth(footer);
    const batches = footer.recordBatchesLength();
    if (width === undefined) throw damaged("its columns are not tokens, line and bytes");
    if (batches * blockBytes > footerBytes) throw damaged(`its footer claims ${batches} record batches`);
    const layouts: BatchLayout[] = [];
    let end = headBytes;
    for (let i = 0; i < batches; i++) {
      const block = footer.recordBatches(i)!;
      const offset = Number(block.offset());
      const bodyStart = offset + block.metaDataLength();
      const bodyBytes = Number(block.bodyLength());
      const where = `record batch ${i + 1} of ${batches}`;
      if (offset < end || block.metaDataLength() < 16 || block.metaDataLength() > maxMessageBytes || bodyBytes < 0) {
        throw damaged(`${where} is misplaced`);
      }
      end = bodyStart + bodyBytes;
      if (end > footerStart) throw damaged(`${where} does not fit into the file`);
      const layout = batchLayout(readAt(offset, bodyStart - offset), width, bodyStart, bodyBytes);
      if (layout === undefined) throw damaged(`${where} is not what its header says`);
      layouts.push(layout);
    }
    return { width, batches: layouts };
  } catch (error) {
    if (error instanceof MswitchError) throw error;
    throw damaged("its footer cannot be read");
  }
}

/** Bytes of a token, or undefined where the schema is not ours. */
function tokenWidth(footer: Footer): 2 | 4 | undefined {
  const schema = footer.schema();
  if (schema?.fieldsLength() !== 3) return undefined;
  const list = schema.fields(0);
  const item = list?.typeType() === Type.List && list.childrenLength() === 1 ? list.children(0) : null;
  const int = item?.typeType() === Type.Int ? (item.type(new Int()) as Int) : null;
  const bits = int?.bitWidth();
  const names = [0, 1, 2].map((i) => schema.fields(i)?.name()).join();
  if (names !== "tokens,line,bytes" || int?.isSigned()) return undefined;
  return bits === 16 ? 2 : bits === 32 ? 4 : undefined;
}

/**
 * Places of a record batch's columns, or undefined where one does not lie in the batch's body. Nodes are the list, its items,
 * line, bytes; buffers the list's validity and offsets, the items' validity and values, then line's and bytes' validity and values.
 */
function batchLayout(message: Buffer, width: number, bodyStart: number, bodyBytes: number): BatchLayout | undefined {
  if (message.readInt32LE(0) !== -1 || message.readInt32LE(4) !== message.length - 8) return undefined;
  const header = Message.getRootAsMessage(new ByteBuffer(message.subarray(8)));
  if (header.headerType() !== MessageHeader.RecordBatch) return undefined;
  const batch = header.header(new RecordBatch()) as RecordBatch | null;
  if (batch?.nodesLength() !== 4 || batch.buffersLength() !== 8 || batch.compression() !== null) return undefined;
  const rows = Number(batch.length());
  const [ofLists, tokens, ofLines, ofBytes] = [0, 1, 2, 3].map((i) => Number(batch.nodes(i)!.length()));
  if (rows < 1 || tokens < 0 || [ofLists, ofLines, ofBytes].some((length) => length !== rows)) return undefined;
  const place = (buffer: number, needed: number): number => {
    const offset = Number(batch.buffers(buffer)!.offset());
    const length = Number(batch.buffers(buffer)!.length());
    return offset < 0 || length < needed || offset + needed > bodyBytes ? Number.NaN : bodyStart + offset;
  };
  const layout = {
    rows,
    tokens,
    offsets: place(1, 4 * (rows + 1)),
    values: place(3, width * tokens),
    lines: place(5, 4 * rows),
    bytes: place(7, 4 * rows),
  };
  return Object.values(layout).some(Number.isNaN) ? undefined : layout;
}

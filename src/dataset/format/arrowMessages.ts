import { Block } from "apache-arrow/fb/block";
import { Buffer as BufferRegion } from "apache-arrow/fb/buffer";
import { Endianness } from "apache-arrow/fb/endianness";
import { Field } from "apache-arrow/fb/field";
import { FieldNode } from "apache-arrow/fb/field-node";
import { Footer } from "apache-arrow/fb/footer";
import { Int } from "apache-arrow/fb/int";
import { KeyValue } from "apache-arrow/fb/key-value";
import { List } from "apache-arrow/fb/list";
import { Message } from "apache-arrow/fb/message";
import { MessageHeader } from "apache-arrow/fb/message-header";
import { MetadataVersion } from "apache-arrow/fb/metadata-version";
import { RecordBatch } from "apache-arrow/fb/record-batch";
import { Schema } from "apache-arrow/fb/schema";
import { Type } from "apache-arrow/fb/type";
import { Builder } from "flatbuffers";

/** Bytes of `ARROW1` and what fills them up to eight, with which a file begins. */
export const fileHead = Buffer.from("ARROW1\0\0");

/** Ends the batches for those who read the file as a stream. */
const endOfStream = [255, 255, 255, 255, 0, 0, 0, 0];

/** A record batch as the footer lists it, in bytes. */
export interface WrittenBatch {
  offset: number;
  /** Of the message, with what stands before it and fills it up. */
  headBytes: number;
  bodyBytes: number;
}

/**
 * The message of a record batch of the columns `tokens`, `line` and `bytes`, behind its length and filled up to eight bytes. Byte for
 * byte what Apache Arrow's own writer makes of it.
 *
 * @param columns bytes of the offsets, the tokens, the lines and the sizes, each a multiple of eight
 */
export function batchHead(rows: number, tokens: number, columns: readonly number[]): Uint8Array {
  const builder = new Builder();
  const lengths = [rows, tokens, rows, rows];
  RecordBatch.startNodesVector(builder, lengths.length);
  for (const length of lengths.toReversed()) FieldNode.createFieldNode(builder, BigInt(length), 0n);
  const nodes = builder.endVector();
  const bodyBytes = columns.reduce((sum, bytes) => sum + bytes, 0);
  // Before the values of each column, and before the list's offsets, stands a bitmap of which rows are valid: it is empty.
  RecordBatch.startBuffersVector(builder, 2 * columns.length);
  let end = bodyBytes;
  for (const bytes of columns.toReversed()) {
    const start = end - bytes;
    BufferRegion.createBuffer(builder, BigInt(start), BigInt(bytes));
    BufferRegion.createBuffer(builder, BigInt(start), 0n);
    end = start;
  }
  const buffers = builder.endVector();
  RecordBatch.startRecordBatch(builder);
  RecordBatch.addLength(builder, BigInt(rows));
  RecordBatch.addNodes(builder, nodes);
  RecordBatch.addBuffers(builder, buffers);
  const batch = RecordBatch.endRecordBatch(builder);
  Message.startMessage(builder);
  Message.addVersion(builder, MetadataVersion.V5);
  Message.addHeader(builder, batch);
  Message.addHeaderType(builder, MessageHeader.RecordBatch);
  Message.addBodyLength(builder, BigInt(bodyBytes));
  Message.finishMessageBuffer(builder, Message.endMessage(builder));
  const message = builder.asUint8Array();
  const head = Buffer.alloc((8 + message.length + 7) & ~7);
  head.writeInt32LE(-1, 0);
  head.writeInt32LE(head.length - 8, 4);
  head.set(message, 8);
  return head;
}

/** What stands behind the last batch: the footer, which holds the schema, and all that goes with it. */
export function fileTail(
  bitWidth: 16 | 32,
  metadata: Record<string, string>,
  batches: readonly WrittenBatch[],
): Uint8Array {
  const builder = new Builder();
  const schema = addSchema(builder, bitWidth, metadata);
  Footer.startRecordBatchesVector(builder, batches.length);
  for (const { offset, headBytes, bodyBytes } of batches.toReversed()) {
    Block.createBlock(builder, BigInt(offset), headBytes, BigInt(bodyBytes));
  }
  const blocks = builder.endVector();
  Footer.startDictionariesVector(builder, 0);
  const dictionaries = builder.endVector();
  Footer.startFooter(builder);
  Footer.addSchema(builder, schema);
  Footer.addVersion(builder, MetadataVersion.V5);
  Footer.addRecordBatches(builder, blocks);
  Footer.addDictionaries(builder, dictionaries);
  Footer.finishFooterBuffer(builder, Footer.endFooter(builder));
  const footer = builder.asUint8Array();
  const length = Buffer.alloc(4);
  length.writeInt32LE(footer.length);
  return Buffer.concat([Buffer.from(endOfStream), footer, length, fileHead.subarray(0, 6)]);
}

function addSchema(builder: Builder, bitWidth: 16 | 32, metadata: Record<string, string>): number {
  List.startList(builder);
  const list = List.endList(builder);
  const item = addInteger(builder, "item", bitWidth);
  const fields = [
    addField(builder, "tokens", Type.List, list, [item]),
    addInteger(builder, "line", 32),
    addInteger(builder, "bytes", 32),
  ];
  Schema.startFieldsVector(builder, fields.length);
  const fieldVector = Schema.createFieldsVector(builder, fields);
  const pairs = Object.entries(metadata).map(([key, value]) => {
    const keyAt = builder.createString(key);
    const valueAt = builder.createString(value);
    KeyValue.startKeyValue(builder);
    KeyValue.addKey(builder, keyAt);
    KeyValue.addValue(builder, valueAt);
    return KeyValue.endKeyValue(builder);
  });
  const pairVector = pairs.length > 0 ? Schema.createCustomMetadataVector(builder, pairs) : 0;
  Schema.startSchema(builder);
  Schema.addFields(builder, fieldVector);
  Schema.addEndianness(builder, Endianness.Little);
  if (pairs.length > 0) Schema.addCustomMetadata(builder, pairVector);
  return Schema.endSchema(builder);
}

function addInteger(builder: Builder, name: string, bitWidth: 16 | 32): number {
  Int.startInt(builder);
  Int.addBitWidth(builder, bitWidth);
  Int.addIsSigned(builder, false);
  return addField(builder, name, Type.Int, Int.endInt(builder), []);
}

function addField(builder: Builder, name: string, kind: Type, type: number, children: number[]): number {
  const childVector = Field.createChildrenVector(builder, children);
  const nameAt = builder.createString(name);
  Field.startField(builder);
  Field.addType(builder, type);
  Field.addTypeType(builder, kind);
  Field.addChildren(builder, childVector);
  Field.addNullable(builder, false);
  Field.addName(builder, nameAt);
  return Field.endField(builder);
}

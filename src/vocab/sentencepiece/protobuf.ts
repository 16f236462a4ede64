import type { MswitchError } from "../../base/errors.js";

/** One field of a protobuf message. `start` and `end` bound the payload of a length-delimited or fixed field. */
export interface ProtobufField {
  number: number;
  wireType: 0 | 1 | 2 | 5;
  /** Value of a varint field as a signed integer of 64 bits, cut to what a double holds exactly. */
  value: number;
  start: number;
  end: number;
  /** Byte at which the field's tag stands. */
  at: number;
}

/** What a reader says when the bytes are no message. `at` is the byte at fault. */
export type ProtobufFault = (why: string, at: number) => MswitchError;

/**
 * Calls `visit` for each field of the message in `bytes[start, end)`. Nothing read from the bytes is trusted: every length is
 * checked against `end` before it is used, and groups (abandoned by protobuf in 2008) are refused.
 *
 * @throws what `fault` makes of a malformed message
 */
export function readFields(
  bytes: Uint8Array,
  start: number,
  end: number,
  fault: ProtobufFault,
  visit: (field: ProtobufField) => void,
): void {
  let position = start;
  const varint = (what: string): number => {
    const first = position;
    let low = 0;
    let high = 0;
    for (let shift = 0; shift < 70; shift += 7) {
      if (position >= end) throw fault(`the file ends within ${what}`, first);
      const byte = bytes[position++];
      if (shift < 28) low += (byte & 127) * 2 ** shift;
      else high += (byte & 127) * 2 ** (shift - 28);
      // Negative 32-bit numbers are written as 64-bit two's complement: bit 35 of `high` is the sign.
      if (byte < 128) return high >= 2 ** 35 ? low + (high - 2 ** 36) * 2 ** 28 : low + high * 2 ** 28;
    }
    throw fault(`${what} is longer than 64 bits`, first);
  };
  while (position < end) {
    const at = position;
    const tag = varint("a field's tag");
    const number = Math.floor(tag / 8);
    const wireType = tag % 8;
    const field: ProtobufField = { number, wireType: 0, value: 0, start: position, end: position, at };
    if (number < 1 || number >= 2 ** 29) throw fault(`${number} is no field number`, at);
    if (wireType === 0) {
      field.value = varint(`field ${number}`);
    } else if (wireType === 1 || wireType === 2 || wireType === 5) {
      field.wireType = wireType;
      const length = wireType === 1 ? 8 : wireType === 5 ? 4 : varint(`the length of field ${number}`);
      if (length < 0 || length > end - position) {
        throw fault(`field ${number} says ${length} bytes, ${end - position} are left`, at);
      }
      field.start = position;
      position += length;
    } else {
      throw fault(`${wireType} is no wire type`, at);
    }
    field.end = position;
    visit(field);
  }
}

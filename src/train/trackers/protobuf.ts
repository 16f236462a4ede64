/** Protocol buffers' wire format: a message is its fields, one after the other. */

function varint(value: number): Uint8Array {
  const bytes: number[] = [];
  let rest = BigInt(value);
  while (rest >= 0x80n) {
    bytes.push(Number(rest & 0x7fn) | 0x80);
    rest >>= 7n;
  }
  return Uint8Array.from([...bytes, Number(rest)]);
}

const wire = { varint: 0, fixed64: 1, bytes: 2, fixed32: 5 } as const;

function tag(field: number, type: number): Uint8Array {
  return varint(field * 8 + type);
}

export function integerField(field: number, value: number): Uint8Array {
  return Buffer.concat([tag(field, wire.varint), varint(value)]);
}

export function doubleField(field: number, value: number): Uint8Array {
  const bytes = Buffer.alloc(8);
  bytes.writeDoubleLE(value);
  return Buffer.concat([tag(field, wire.fixed64), bytes]);
}

export function floatField(field: number, value: number): Uint8Array {
  const bytes = Buffer.alloc(4);
  bytes.writeFloatLE(value);
  return Buffer.concat([tag(field, wire.fixed32), bytes]);
}

export function bytesField(field: number, bytes: Uint8Array): Uint8Array {
  return Buffer.concat([tag(field, wire.bytes), varint(bytes.length), bytes]);
}

export function stringField(field: number, text: string): Uint8Array {
  return bytesField(field, Buffer.from(text, "utf8"));
}

export function messageField(field: number, fields: Uint8Array[]): Uint8Array {
  return bytesField(field, Buffer.concat(fields));
}

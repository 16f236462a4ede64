/** A Zstandard frame written out by hand: a header without sizes (window of 2 MiB) and one last block, for tests. */
function frame(type: 0 | 1, size: number, content: Uint8Array): Buffer {
  const header = Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x58, 0, 0, 0]);
  header.writeUIntLE((size << 3) | (type << 1) | 1, 6, 3);
  return Buffer.concat([header, content]);
}

/** A frame that holds up to 128 KiB as they are. */
export function rawFrame(content: Uint8Array): Buffer {
  return frame(0, content.length, content);
}

/** A frame that holds one byte `times` times. */
export function rleFrame(byte: number, times: number): Buffer {
  return frame(1, times, Buffer.from([byte]));
}

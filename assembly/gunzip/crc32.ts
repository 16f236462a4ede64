/** CRC-32 as gzip has it (RFC 1952), sixteen bytes at a time by a table for each of them. */
const tables: usize = memory.data(16 * 1024, 64);
let ready: bool = false;

function fillTables(): void {
  for (let byte: u32 = 0; byte < 256; byte++) {
    let crc = byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
    store<u32>(tables + 4 * byte, crc);
  }
  for (let at: usize = tables; at < tables + 15 * 1024; at += 4) {
    const crc = load<u32>(at);
    store<u32>(at, (crc >>> 8) ^ load<u32>(tables + 4 * (crc & 0xff)), 1024);
  }
  ready = true;
}

/** What the byte at `p` becomes, by the table for as many bytes as follow it. */
function byteAt(p: usize, table: usize): u32 {
  return load<u32>(table + ((<usize>load<u8>(p)) << 2));
}

/** The checksum of what had `before` (0 of nothing) and then the bytes from `from` to `to`. */
export function crc32(before: u32, from: usize, to: usize): u32 {
  if (!ready) fillTables();
  let crc = ~before;
  let p = from;
  for (; p + 16 <= to; p += 16) {
    // Twelve of the bytes do not wait for the sixteen before them.
    const later =
      byteAt(p + 4, tables + 11 * 1024) ^
      byteAt(p + 5, tables + 10 * 1024) ^
      byteAt(p + 6, tables + 9 * 1024) ^
      byteAt(p + 7, tables + 8 * 1024) ^
      byteAt(p + 8, tables + 7 * 1024) ^
      byteAt(p + 9, tables + 6 * 1024) ^
      byteAt(p + 10, tables + 5 * 1024) ^
      byteAt(p + 11, tables + 4 * 1024) ^
      byteAt(p + 12, tables + 3 * 1024) ^
      byteAt(p + 13, tables + 2 * 1024) ^
      byteAt(p + 14, tables + 1024) ^
      byteAt(p + 15, tables);
    const word = load<u32>(p) ^ crc;
    crc =
      later ^
      load<u32>(tables + ((word & 0xff) << 2), 15 * 1024) ^
      load<u32>(tables + (((word >>> 8) & 0xff) << 2), 14 * 1024) ^
      load<u32>(tables + (((word >>> 16) & 0xff) << 2), 13 * 1024) ^
      load<u32>(tables + ((word >>> 24) << 2), 12 * 1024);
  }
  for (; p < to; p++) crc = (crc >>> 8) ^ load<u32>(tables + (((crc ^ <u32>load<u8>(p)) & 0xff) << 2));
  return ~crc;
}

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

/** What the four bytes of `word` become when `after` more bytes have followed, a multiple of four. */
function fold(word: u32, after: usize): u32 {
  const last = tables + 1024 * after;
  return (
    load<u32>(last + 4 * (word >>> 24)) ^
    load<u32>(last + 4 * ((word >>> 16) & 0xff), 1024) ^
    load<u32>(last + 4 * ((word >>> 8) & 0xff), 2048) ^
    load<u32>(last + 4 * (word & 0xff), 3072)
  );
}

/** The checksum of what had `before` (0 of nothing) and then the bytes from `from` to `to`. */
export function crc32(before: u32, from: usize, to: usize): u32 {
  if (!ready) fillTables();
  let crc = ~before;
  let p = from;
  for (; p + 16 <= to; p += 16) {
    crc =
      fold(load<u32>(p) ^ crc, 12) ^ fold(load<u32>(p, 4), 8) ^ fold(load<u32>(p, 8), 4) ^ fold(load<u32>(p, 12), 0);
  }
  for (; p < to; p++) crc = (crc >>> 8) ^ load<u32>(tables + 4 * ((crc ^ <u32>load<u8>(p)) & 0xff));
  return ~crc;
}

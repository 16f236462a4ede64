/** Input, bits and output of the stream that is inflated. Pointers are into linear memory. */

/** Compressed bytes that the host may give at once. */
export const chunkBytes: usize = 64 * 1024;
/** Unread bytes that may be kept for the next chunk: the head of a block is read whole, and is shorter. */
const keptBytes: usize = 1024;
/** The farthest that a match reaches back. */
const historyBytes: usize = 32 * 1024;
/** Inflated bytes handed on at a time: with the lines and ids that come of them they stay in the processor's cache. */
const pieceBytes: usize = 64 * 1024;
/** What symbols and copies of whole vectors may write beyond the end of a piece, and read beyond the end of the input. */
const slackBytes: usize = 512;

const input: usize = memory.data(<i32>(keptBytes + chunkBytes + slackBytes), 64);
const output: usize = memory.data(<i32>(historyBytes + pieceBytes + slackBytes), 64);

/** Where the piece that is written must end, up to `slackBytes` later. */
export const pieceEnd: usize = output + historyBytes + pieceBytes;

export let inputNext: usize = input;
export let inputEnd: usize = input;
/** Bits that were read and not used, the next one lowest, with zeros above them, and how many. */
export let bits: u64 = 0;
export let bitCount: u32 = 0;
export let outputNext: usize = output + historyBytes;
/** Where the piece in hand begins, and the first byte that a match may reach. */
export let pieceStart: usize = outputNext;
export let memberStart: usize = outputNext;

/** Where the host puts the next chunk: behind what was not read of the last one, which is moved to the front. */
export function chunkAt(): usize {
  const left = inputEnd - inputNext;
  memory.copy(input, inputNext, left);
  inputNext = input;
  inputEnd = input + left;
  return inputEnd;
}

export function addInput(length: usize): void {
  inputEnd += length;
}

/** Takes a number of bits into use, or says that there are not so many. At most 32. */
export function hasBits(needed: u32): bool {
  while (bitCount < needed) {
    if (inputNext === inputEnd) return false;
    bits |= (<u64>load<u8>(inputNext++)) << bitCount;
    bitCount += 8;
  }
  return true;
}

/** The next bits, which `hasBits` must have found. */
export function takeBits(number: u32): u32 {
  const taken = <u32>bits & ((1 << number) - 1);
  bits >>= number;
  bitCount -= number;
  return taken;
}

export function setInput(next: usize, newBits: u64, count: u32): void {
  inputNext = next;
  bits = newBits;
  bitCount = count;
}

/** Gives whole bytes that were read and not used back to the input. */
export function unreadBytes(): void {
  inputNext -= bitCount >> 3;
  bitCount &= 7;
  bits &= (1 << bitCount) - 1;
}

/** Leaves out what does not fill a byte. */
export function skipToByte(): void {
  unreadBytes();
  bits = 0;
  bitCount = 0;
}

export function setOutput(next: usize): void {
  outputNext = next;
}

export function startMember(): void {
  memberStart = outputNext;
}

/** Begins a piece: where the last one is full, what matches may reach of it is moved to the front. */
export function startPiece(): void {
  if (outputNext >= pieceEnd) {
    const shift = outputNext - historyBytes - output;
    memory.copy(output, output + shift, historyBytes);
    outputNext -= shift;
    memberStart = max(memberStart, output + shift) - shift;
  }
  pieceStart = outputNext;
}

export function resetState(): void {
  inputNext = input;
  inputEnd = input;
  bits = 0;
  bitCount = 0;
  outputNext = output + historyBytes;
  pieceStart = outputNext;
  memberStart = outputNext;
}

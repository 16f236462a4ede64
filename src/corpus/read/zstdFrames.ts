import type { XXHash } from "xxhash-wasm";
import xxhash from "xxhash-wasm";
import { StreamFault } from "./readCompressed.js";

/** The largest window accepted: what `zstd -19` writes is a quarter of it, and each stream in work may take so much memory. */
const maxWindowBytes = 32 * 2 ** 20;
const maxBlockBytes = 128 * 1024;
/** Descriptor of a window of 128 KiB: what one block holds at most. */
const oneBlockWindow = 7 << 3;
const frameMagic = 0xfd2fb528;
const skippableMagic = 0x184d2a50;

/** A decoder of one frame, fed one block at a time. */
export interface FrameDecoder {
  push(chunk: Uint8Array, final?: boolean): void;
}

type OnData = (data: Uint8Array) => void;

interface Frame {
  decoder: FrameDecoder;
  windowBytes: number;
  hasChecksum: boolean;
  /** Where the header says it. */
  contentBytes: number | undefined;
  decodedBytes: number;
  hash: XXHash<bigint>;
}

/**
 * Cuts a Zstandard stream into frames and blocks, so that the decoder is never given more than one block and no header is trusted
 * before it was held against the limits. RFC 8878, section 3.1.
 */
export class ZstdFrames {
  private pending: Buffer = Buffer.alloc(0);
  private skip = 0;
  private frame: Frame | undefined;
  private decoded: Uint8Array[] = [];
  private framesBegun = 0;
  /** Met at the end of a frame, of which all is given out nevertheless. */
  private fault: StreamFault | undefined;

  private constructor(
    private readonly createDecoder: (onData: OnData) => FrameDecoder,
    private readonly createHash: () => XXHash<bigint>,
  ) {}

  static async create(createDecoder: (onData: OnData) => FrameDecoder): Promise<ZstdFrames> {
    const { create64 } = await xxhash();
    return new ZstdFrames(createDecoder, create64);
  }

  push(chunk: Uint8Array): void {
    this.pending = this.pending.length === 0 ? Buffer.from(chunk) : Buffer.concat([this.pending, chunk]);
  }

  /** What the next block decodes to, perhaps nothing; undefined where more input is needed. */
  next(): Uint8Array | undefined {
    if (this.fault) throw this.fault;
    if (this.skip > 0) {
      const skipped = Math.min(this.skip, this.pending.length);
      this.take(skipped);
      this.skip -= skipped;
    }
    if (this.pending.length === 0) return undefined;
    return this.frame ? this.nextBlock(this.frame) : this.nextFrame();
  }

  /** What is missing where the stream ends now. */
  faultAtEnd(): StreamFault | undefined {
    if (this.fault) return this.fault;
    if (this.framesBegun > 0 && !this.frame && this.pending.length === 0 && this.skip === 0) return undefined;
    const magic = Buffer.from([0x28, 0xb5, 0x2f, 0xfd]);
    const looksLikeZstd = this.framesBegun > 0 || magic.subarray(0, this.pending.length).equals(this.pending);
    if (!looksLikeZstd && this.pending.length < 4) return notZstd();
    return new StreamFault("truncated-zstd", "the compressed file ends before its end");
  }

  private nextFrame(): Uint8Array | undefined {
    const { pending } = this;
    if (pending.length < 8) return undefined;
    const magic = pending.readUInt32LE(0);
    if ((magic & 0xfffffff0) >>> 0 === skippableMagic) {
      this.framesBegun++;
      this.skip = pending.readUInt32LE(4);
      this.take(8);
      return new Uint8Array(0);
    }
    if (magic !== frameMagic) throw this.framesBegun > 0 ? damaged("no frame follows the last one") : notZstd();
    const flags = pending[4];
    const singleSegment = (flags & 0x20) !== 0;
    const sizeFlag = flags >> 6;
    const sizeBytes = sizeFlag === 0 ? (singleSegment ? 1 : 0) : 1 << sizeFlag;
    const dictionaryBytes = [0, 1, 2, 4][flags & 3];
    const sizeAt = 5 + (singleSegment ? 0 : 1) + dictionaryBytes;
    // With the first block's header, which says whether it is the only one.
    if (pending.length < sizeAt + sizeBytes + 3) return undefined;
    this.framesBegun++;
    if ((flags & 8) !== 0) throw damaged("a reserved bit is set");
    if (pending.subarray(sizeAt - dictionaryBytes, sizeAt).some((byte) => byte !== 0)) {
      throw new StreamFault("corrupt-zstd", "the data was compressed with a dictionary, which is not in the file");
    }
    const contentBytes = sizeBytes > 0 ? readSize(pending, sizeAt, sizeBytes) : undefined;
    const windowBytes = singleSegment ? (contentBytes ?? 0) : windowOf(pending[5]);
    if (windowBytes > maxWindowBytes) {
      const limit = `the window has ${windowBytes} bytes, the limit is ${maxWindowBytes}`;
      throw new StreamFault("zstd-window", `${limit}: compress it without --long or --ultra`);
    }
    const decoder = this.createDecoder((data) => this.decoded.push(data));
    const oneBlock = (pending[sizeAt + sizeBytes] & 1) === 1;
    const header = Buffer.from(this.take(sizeAt + sizeBytes));
    // The decoder makes a window for each frame; one block never reaches beyond itself.
    if (!singleSegment && oneBlock && windowBytes > maxBlockBytes) header[5] = oneBlockWindow;
    decoder.push(header);
    const hasChecksum = (flags & 4) !== 0;
    this.frame = { decoder, windowBytes, hasChecksum, contentBytes, decodedBytes: 0, hash: this.createHash() };
    return new Uint8Array(0);
  }

  private nextBlock(frame: Frame): Uint8Array | undefined {
    const { pending } = this;
    if (pending.length < 3) return undefined;
    const header = pending.readUIntLE(0, 3);
    const last = (header & 1) === 1;
    const type = (header >> 1) & 3;
    const size = header >> 3;
    if (type === 3) throw damaged("a block has no known type");
    if (size > Math.min(maxBlockBytes, Math.max(frame.windowBytes, 1))) throw damaged(`a block claims ${size} bytes`);
    const length = 3 + (type === 1 ? 1 : size) + (last && frame.hasChecksum ? 4 : 0);
    if (pending.length < length) return undefined;
    const block = this.take(length);
    this.decoded = [];
    frame.decoder.push(block, last);
    const piece = this.decoded.length === 1 ? this.decoded[0] : Buffer.concat(this.decoded);
    frame.decodedBytes += piece.length;
    if (frame.hasChecksum) frame.hash.update(piece);
    if (last) {
      this.frame = undefined;
      this.fault = faultOfFrame(frame, block);
    }
    return piece;
  }

  private take(length: number): Buffer {
    const taken = this.pending.subarray(0, length);
    this.pending = this.pending.subarray(length);
    return taken;
  }
}

/** What the end of a frame shows to be wrong with it. */
function faultOfFrame(frame: Frame, lastBlock: Buffer): StreamFault | undefined {
  const { hasChecksum, contentBytes, decodedBytes, hash } = frame;
  if (contentBytes !== undefined && contentBytes !== decodedBytes) {
    return damaged(`the frame holds ${decodedBytes} bytes and claims ${contentBytes}`);
  }
  const right = !hasChecksum || Number(hash.digest() & 0xffffffffn) === lastBlock.readUInt32LE(lastBlock.length - 4);
  return right ? undefined : damaged("the checksum is wrong");
}

function readSize(bytes: Buffer, at: number, length: number): number {
  if (length === 8) return Number(bytes.readBigUInt64LE(at));
  return bytes.readUIntLE(at, length) + (length === 2 ? 256 : 0);
}

/** RFC 8878, section 3.1.1.1.2. */
function windowOf(descriptor: number): number {
  const base = 2 ** (10 + (descriptor >> 3));
  return base + (base / 8) * (descriptor & 7);
}

function damaged(why: string): StreamFault {
  return new StreamFault("corrupt-zstd", `the compressed data is damaged (${why})`);
}

function notZstd(): StreamFault {
  return new StreamFault("not-zstd", "the file does not begin as Zstandard does (28 b5 2f fd)");
}

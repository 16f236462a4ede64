import type { ErrorDetails } from "../../base/errors.js";
import type { Shard } from "../../corpus/shards/shard.js";
import type { EncoderImage } from "../../vocab/encode/layOutImage.js";
import type { ShardProgress, TokenizedShard, TokenizeOptions } from "./tokenizeShard.js";

/** What a worker is started with. */
export interface ShardWorkerData extends TokenizeOptions {
  /** The encoder of the vocabulary; absent where it is no unigram model, which SentencePiece's own encoder then reads. */
  image?: EncoderImage;
  /** Its one element is set to 1 when shards in work are to be dropped. */
  drop: Int32Array;
}

/** To a worker: tokenize this shard. One at a time. */
export type ShardRequest = Shard;

/** From a worker: any number of reports, then one outcome. */
export type ShardReply =
  | { kind: "progress"; progress: ShardProgress }
  | ({ kind: "done" } & TokenizedShard)
  | { kind: "dropped" }
  /** This shard failed; the others are not concerned. */
  | { kind: "failed"; why: string }
  /** The output cannot be written or the vocabulary not be used: no other shard would fare better. */
  | { kind: "refused"; what: string; details: ErrorDetails };

import * as tf from "@tensorflow/tfjs-core";
import { likeliestTokens } from "../../ops/decode/nextToken.js";
import type { Decoder } from "./decoder.js";
import { type Generated, type GenerateLimits, startId } from "./generated.js";

export interface BeamOptions extends GenerateLimits {
  beams: number;
  /** A finished text's score is its log probability over length^lengthPenalty; above 0 favours longer ones. */
  lengthPenalty: number;
  /** A source is done as soon as it has as many finished texts as beams; false: when no beam can become better than those. */
  earlyStopping: boolean;
}

interface Beam {
  ids: readonly number[];
  score: number;
}

/** The beams of one source. */
interface Search {
  /** Of the source among those given. */
  source: number;
  running: Beam[];
  /** At most as many as beams, the best first. */
  finished: Beam[];
}

/** Added to the score of what must not be taken, in Transformers. */
const excluded = -1e9;

const byScore = (a: Beam, b: Beam): number => b.score - a.score;

/**
 * Beam search as Transformers' `generate` does it (version 5): scores in float32, twice as many candidates as beams, texts that are cut
 * off at `maxNewTokens` count as finished, and what ends a search is `earlyStopping`.
 *
 * @param decoder at its start, of `rows` rows
 * @returns the best text of each row
 */
export async function beamSearch(decoder: Decoder, rows: number, options: BeamOptions): Promise<Generated[]> {
  const { beams, maxNewTokens, signal } = options;
  const best: Generated[] = new Array(rows);
  let open = Array.from({ length: rows }, (_, source): Search => {
    // All but the first beam are out until they differ from it.
    const running = Array.from({ length: beams }, (_, k) => ({ ids: [], score: k === 0 ? 0 : excluded }));
    return { source, running, finished: [] };
  });
  decoder.select(Int32Array.from({ length: rows * beams }, (_, i) => Math.floor(i / beams)));
  let ids = new Int32Array(rows * beams).fill(startId);
  for (let length = 1; open.length > 0; length++) {
    signal?.throwIfAborted();
    const hidden = decoder.step(ids);
    const top = likeliestTokens(hidden, decoder.head_VD, 2 * beams);
    const [topIds, logProbs] = [await top.ids.data<"int32">(), await top.logProbs.data<"float32">()];
    tf.dispose([hidden, top.ids, top.logProbs]);
    const parents: number[] = [];
    const left: Search[] = [];
    for (const [i, search] of open.entries()) {
      const candidates = candidatesOf(search, i * beams, { topIds, logProbs, count: 2 * beams });
      const isLast = length === maxNewTokens;
      const { next, from } = advance(search, candidates, length, isLast, options);
      if (isLast || isDone(next, length, options)) {
        const { ids: written, score } = next.finished[0];
        best[next.source] = { ids: Int32Array.from(written), score };
      } else {
        left.push(next);
        parents.push(...from);
      }
    }
    if (left.length === 0) break;
    if (left.length < open.length) decoder.select(Int32Array.from(parents));
    else decoder.reorder(Int32Array.from(parents));
    open = left;
    ids = Int32Array.from(open.flatMap(({ running }) => running.map((beam) => beam.ids.at(-1)!)));
  }
  return best;
}

/** A beam with one token more, and the decoder's row that it comes from. */
interface Candidate extends Beam {
  row: number;
}

interface Likeliest {
  topIds: Int32Array;
  logProbs: Float32Array;
  count: number;
}

/** The likeliest continuations of a source's beams, which are the decoder's rows from `row` on; the best first. */
function candidatesOf({ running }: Search, row: number, { topIds, logProbs, count }: Likeliest): Candidate[] {
  const all = running.flatMap(({ ids, score }, k) =>
    Array.from({ length: count }, (_, j): Candidate => {
      const at = (row + k) * count + j;
      return { ids: [...ids, topIds[at]], score: Math.fround(score + logProbs[at]), row: row + k };
    }),
  );
  return all.sort(byScore).slice(0, count);
}

/** One token on: which candidates run on, and which are finished. */
function advance(
  search: Search,
  candidates: readonly Candidate[],
  length: number,
  isLast: boolean,
  { beams, eosId, lengthPenalty, earlyStopping }: BeamOptions,
): { next: Search; from: number[] } {
  const ends = ({ ids }: Beam): boolean => isLast || ids.at(-1) === eosId;
  const running = candidates
    .map((candidate) =>
      ends(candidate) ? { ...candidate, score: Math.fround(candidate.score + excluded) } : candidate,
    )
    .sort(byScore)
    .slice(0, beams);
  const isFull = earlyStopping && search.finished.length === beams;
  // Candidates beyond the first `beams` are there to run on, not to be results.
  const ended = isFull ? [] : candidates.slice(0, beams).filter(ends);
  const finished = [
    ...search.finished,
    ...ended.map(({ ids, score }) => ({ ids, score: Math.fround(score / length ** lengthPenalty) })),
  ];
  return {
    next: { ...search, running, finished: finished.sort(byScore).slice(0, beams) },
    from: running.map(({ row }) => row),
  };
}

/** Whether none of the beams can become a better result, as Transformers estimates it: by its score at the present length. */
function isDone(
  { running, finished }: Search,
  length: number,
  { beams, lengthPenalty, earlyStopping }: BeamOptions,
): boolean {
  if (finished.length < beams) return false;
  if (earlyStopping) return true;
  return Math.fround(running[0].score / length ** lengthPenalty) <= finished[beams - 1].score;
}

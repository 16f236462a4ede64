import { loadBalance } from "../../run/loadBalance.js";
import type { EvalPoint } from "../../run/runFiles.js";

/** Which experts served which languages, and how evenly they were used. Loads are multiples of a balanced load: 1 is balanced. */
export interface RoutingFacts {
  experts: number;
  /** Steps of the evaluations that recorded routing. */
  steps: number[];
  layers: LayerFacts[];
}

export interface LayerFacts {
  /** `encoder.1`, … */
  layer: string;
  /** Load of each expert at the last evaluation, every language counting the same, [experts]. */
  load: number[];
  /** Load of each expert by language at the last evaluation, [languages][experts], in the report's order of languages. */
  byLanguage: number[][];
  /**
   * Entropy of each language's choice of experts at the last evaluation, nats, [languages]: ln(experts) where the language uses all alike, 0
   * where all its tokens go to one. null where the evaluation has none of the language.
   */
  entropy: (number | null)[];
  /** Load of the busiest expert at each of `steps`. */
  busiest: number[];
  /** Share of tokens that found their expert full at each of `steps`. */
  dropped: number[];
}

/** Sums up a run's routing records over `codes`; null where there are none. */
export function routingFacts(points: readonly EvalPoint[], codes: readonly string[]): RoutingFacts | null {
  const recorded = points.filter(({ routing }) => routing.length > 0);
  const last = recorded.at(-1);
  if (!last) return null;
  const steps = recorded.map(({ step }) => step);
  const layers = last.routing.map(({ layer, expertShare }): LayerFacts => {
    const history = recorded.map(({ routing }) => routing.find((other) => other.layer === layer));
    return {
      layer,
      load: meanLoad(expertShare, codes),
      byLanguage: codes.map((code) => loads(expertShare[code] ?? [])),
      entropy: codes.map((code) => (expertShare[code] ? round(loadBalance(expertShare[code]).entropy) : null)),
      busiest: history.map((record) => (record ? round(Math.max(...meanLoad(record.expertShare, codes))) : Number.NaN)),
      dropped: history.map((record) => (record ? record.fractionDropped : Number.NaN)),
    };
  });
  return { experts: layers[0].load.length, steps, layers };
}

function meanLoad(shares: Record<string, number[]>, codes: readonly string[]): number[] {
  const known = codes.flatMap((code) => (shares[code] ? [shares[code]] : []));
  const experts = known[0]?.length ?? 0;
  return Array.from({ length: experts }, (_, e) =>
    round((experts * known.reduce((sum, share) => sum + share[e], 0)) / known.length),
  );
}

const loads = (share: number[]): number[] => share.map((part) => round(part * share.length));

/** Three decimals: all that a colour can show. */
const round = (x: number): number => Math.round(x * 1000) / 1000;

import { usageError } from "../base/errors.js";
import type { Run } from "../run/readRun.js";
import type { EvalPoint, LanguageQuality } from "../run/runFiles.js";

/** One side of a comparison: runs that differ in their seed only. */
export type Side = readonly Run[];

/** How runs name themselves to a reader, where several may have one name. */
export function sideName(side: Side): string {
  const [{ description }] = side;
  return side.length === 1 ? description.name : `${description.name} (${side.length} seeds)`;
}

/**
 * The sides, cut to where they can be compared: to the evaluations up to the last step that every run was evaluated at, and of a side's
 * runs to those at steps that all of them have.
 *
 * @throws usageError where a run has no evaluation of a trained model: there is no speed-up yet
 */
export function cutToCommonEnd(sides: readonly Side[]): Side[] {
  const runs = sides.flat();
  for (const { dir, points } of runs) {
    if (points[points.length - 1].step > 0) continue;
    throw usageError("there is no speed-up yet", {
      code: "no-speedup-yet",
      where: dir,
      why: "the run has not been evaluated after its first step",
      hint: "let mswitch pretrain reach its next evaluation, or run mswitch evaluate on a checkpoint",
    });
  }
  const end = lastCommonStep(runs) ?? Math.min(...runs.map(({ points }) => points[points.length - 1].step));
  return sides.map((side) => {
    const kept = cutToSharedSteps(side).map((run) => ({
      ...run,
      points: run.points.filter(({ step }) => step <= end),
    }));
    const late = kept.find(({ points }) => !points.some(({ step }) => step > 0));
    if (!late) return kept;
    throw usageError("there is no speed-up yet", {
      code: "no-speedup-yet",
      where: late.dir,
      why: `no evaluation after step 0 lies within the ${end} steps that all runs have`,
      hint: "let the shorter run go on, or evaluate one of its checkpoints",
    });
  });
}

/** A side's runs at the steps that all of them were evaluated at. */
export function cutToSharedSteps(side: Side): Side {
  const sets = side.map(stepsOf);
  return side.map((run) => ({
    ...run,
    points: run.points.filter(({ step }) => sets.every((steps) => steps.has(step))),
  }));
}

function lastCommonStep(runs: readonly Run[]): number | undefined {
  const sets = runs.map(stepsOf);
  const common = [...sets[0]].filter((step) => step > 0 && sets.every((steps) => steps.has(step)));
  return common.length > 0 ? Math.max(...common) : undefined;
}

function stepsOf({ points }: Run): Set<number> {
  return new Set(points.map(({ step }) => step));
}

/** The mean of a side's runs, example by example, at the steps that they share; a single run is its own mean. */
export function meanPoints(side: Side): EvalPoint[] {
  const [first, ...others] = side;
  if (others.length === 0) return first.points;
  return first.points.map((point, at) => ({
    ...point,
    languages: Object.fromEntries(
      Object.entries(point.languages)
        .filter(([code]) => others.every(({ points }) => Object.hasOwn(points[at].languages, code)))
        .map(([code, quality]) => [
          code,
          meanQuality([quality, ...others.map(({ points }) => points[at].languages[code])]),
        ]),
    ),
  }));
}

function meanQuality(all: readonly LanguageQuality[]): LanguageQuality {
  const mean = (values: number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;
  const uses = all.map(({ sourceUse }) => sourceUse).filter((value) => value !== undefined);
  return {
    ...all[0],
    sourceUse: uses.length === all.length ? mean(uses) : undefined,
    negLogPerplexity: mean(all.map(({ negLogPerplexity }) => negLogPerplexity)),
    exampleLogProbs: all[0].exampleLogProbs.map((_, i) => mean(all.map(({ exampleLogProbs }) => exampleLogProbs[i]))),
  };
}

/** Whether the i-th runs of both sides have the same seed: then they are drawn together. */
export function arePaired(a: Side, b: Side): boolean {
  return a.length === b.length && a.every((run, i) => run.description.seed === b[i].description.seed);
}

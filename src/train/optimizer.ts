import * as tf from "@tensorflow/tfjs-core";
import { usageError } from "../base/errors.js";
import type { FileContent } from "../base/hash.js";
import { type Ownership, ownership, ownRows } from "../distributed/ownership.js";
import { momentPlacement, partOn, placementOf, wholeShape } from "../distributed/placement.js";
import { soloWorld, type World } from "../distributed/world.js";
import type { ModelConfig } from "../model/config.js";
import { hasMuon, parameterKind } from "../model/parameterKind.js";
import type { Parameters } from "../model/parameters.js";
import type { RankGroup } from "../ops/distributed/collectives.js";
import { adafactor } from "../ops/optimizers/adafactor.js";
import { adafactorOfParts } from "../ops/optimizers/adafactorOfParts.js";
import { adamw } from "../ops/optimizers/adamw.js";
import type { Moments, OptimizedParameter, OptimizerAlgorithm } from "../ops/optimizers/algorithm.js";
import { muon } from "../ops/optimizers/muon.js";
import { type Moment, readMoments, writeMoments } from "./checkpoint/moments.js";
import type { OptimizerConfig } from "./config/optimizerConfig.js";
import { rowsOf, shareParameters } from "./dataParallel.js";

/** What one update knows beside its gradients. */
export interface UpdateOptions {
  learningRate: number;
  /** From 0. */
  step: number;
}

/** An optimizer over all parameters of a model; its moments are variables beside the weights. */
export interface Optimizer {
  /** Where ranks share the optimizer's state: whose gradients each of them needs. */
  readonly owners: Ownership | undefined;
  /**
   * One update of every parameter, or of those that this rank owns where ranks share the optimizer's state: then `share` follows. Leaves no tensor behind.
   *
   * @param gradNorm of all gradients together: what clipping goes by
   */
  update(gradients: ReadonlyMap<string, tf.Tensor>, options: UpdateOptions & { gradNorm: number }): void;
  /** Gives the others what this rank has updated and takes what they have; nothing where each updates all. */
  share(): Promise<void>;
  /** What changes from step to step, as `updateGuarded` reads it. */
  rates(options: UpdateOptions): Float32Array;
  /**
   * The same with what changes from step to step in tensors, so that the step can be recorded.
   *
   * @param rates see `rates`
   * @param guard_2 loss and norm of all gradients; nothing changes where one is not finite
   */
  updateGuarded(gradients: ReadonlyMap<string, tf.Tensor>, rates: tf.Tensor1D, guard_2: tf.Tensor1D): void;
  /** Writes the moments to `optimizer.safetensors` in a directory, or this rank's share of them: see `writeMoments`. */
  save(directory: string): Promise<Map<string, FileContent>>;
  /** Takes the moments from what `save` wrote, on any mesh; refuses those of another model or another algorithm. */
  restore(directory: string): Promise<void>;
  dispose(): void;
}

/** Parameters that are updated together: by one algorithm, at one factor of the learning rate. */
interface ParameterGroup {
  algorithm: OptimizerAlgorithm;
  learningRateFactor: number;
  names: string[];
}

/** How a run's file describes an optimizer, without its schedule. */
export type OptimizerOptions = OptimizerConfig extends infer Config
  ? Config extends unknown
    ? Omit<Config, "learningRate">
    : never
  : never;

/** A run's optimizer for its model: a frozen router's weights stay as they are. */
export function optimizerOptions(options: OptimizerOptions, { switch: sparse }: ModelConfig): OptimizerOptions {
  if (!sparse?.frozen) return options;
  return { ...options, learningRateFactors: { ...options.learningRateFactors, router: 0 } };
}

/**
 * Fresh moments, all 0, for `params`. Experts are each a matrix of their own in every algorithm.
 *
 * @param world over whose mesh the model is split: the moments of a part lie with it
 */
export function createOptimizer(
  params: Parameters,
  options: OptimizerOptions,
  world: Omit<World, "all" | "gather" | "traffic" | "close"> = soloWorld,
): Optimizer {
  const { mesh, at } = world;
  const shapes = new Map([...params].map(([name, { shape }]) => [name, shape]));
  const owners = mesh.zero ? ownership(shapes, options, mesh) : undefined;
  const isOwn = (name: string): boolean => owners === undefined || ownRows(owners, name, mesh, at) !== undefined;
  const groups = parameterGroups(new Map([...params].filter(([name]) => isOwn(name))), options, world);
  const { clipNorm } = options;
  const states = new Map<string, Moments>();
  const moments: Moment[] = [];
  for (const { algorithm, names } of groups) {
    for (const name of names) {
      const placement = placementOf(name);
      const { shape } = params.get(name)!;
      const state = new Map<string, tf.Variable>();
      const own = owners && ownRows(owners, name, mesh, at);
      for (const [slot, whole] of algorithm.stateShapes(wholeShape(shape, placement, mesh))) {
        const of = momentPlacement(placement, slot, shape.length);
        const part = partOn(whole, of, mesh, at);
        // Rows are updated alone only where all moments have the same first axis.
        if (own && own.rows < shape[0]) {
          part.begin[0] += own.begin;
          part.shape[0] = own.rows;
        }
        const value = tf.tidy(() => tf.variable(tf.zeros(part.shape), false));
        state.set(slot, value);
        moments.push({ name: `${name}/${slot}`, value, whole, part, placement: of });
      }
      states.set(name, state);
    }
  }

  /** Rows that were updated beside their parameter and are not shared yet. */
  const alone = new Map<string, tf.Variable>();
  const parametersOf = (names: readonly string[], gradients: ReadonlyMap<string, tf.Tensor>): OptimizedParameter[] =>
    names.map((name) => {
      const gradient = gradients.get(name);
      if (gradient === undefined) throw new Error(`internal: no gradient of ${name}`);
      const param = params.get(name)!;
      const own = owners && ownRows(owners, name, mesh, at);
      const parameter = { param, gradient, state: states.get(name)!, split: splitOf(name, params, world) };
      if (!own || own.rows === param.shape[0]) return parameter;
      const rows = tf.variable(rowsOf(param, own), false);
      alone.set(name, rows);
      return { ...parameter, param: rows, gradient: rowsOf(gradient, own) };
    });
  const ratesOf = ({ algorithm, learningRateFactor }: ParameterGroup, { learningRate, step }: UpdateOptions) =>
    algorithm.rates({ learningRate: learningRate * learningRateFactor, step });

  return {
    owners,
    update(gradients, { learningRate, step, gradNorm }) {
      const gradientScale = clipNorm === undefined ? 1 : Math.min(1, clipNorm / (gradNorm + epsilonNorm));
      for (const { algorithm, learningRateFactor, names } of groups) {
        const place = { learningRate: learningRate * learningRateFactor, step, gradientScale };
        tf.tidy(() => algorithm.update(parametersOf(names, gradients), place));
      }
    },
    async share() {
      if (owners) await shareParameters(world, params, owners, alone);
      for (const rows of alone.values()) rows.dispose();
      alone.clear();
    },
    rates: (place) => Float32Array.from(groups.flatMap((group) => [...ratesOf(group, place)])),
    updateGuarded(gradients, rates, guard_2) {
      tf.tidy(() => {
        const norm_1 = tf.slice1d(guard_2, 1, 1);
        const scale_1 =
          clipNorm === undefined ? undefined : tf.minimum(tf.div(clipNorm, tf.add(norm_1, epsilonNorm)), 1);
        let at = 0;
        for (const group of groups) {
          const size = ratesOf(group, { learningRate: 0, step: 0 }).length;
          const own = tf.slice1d(rates, at, size);
          // The gradients' scale comes last.
          const scaled = scale_1 ? tf.concat1d([tf.slice1d(own, 0, size - 1), scale_1 as tf.Tensor1D]) : own;
          group.algorithm.updateGuarded(parametersOf(group.names, gradients), scaled, guard_2);
          at += size;
        }
      });
    },
    save: (directory) => writeMoments(directory, moments, world),
    restore: (directory) => readMoments(directory, moments),
    dispose() {
      for (const { value } of moments) value.dispose();
    },
  };
}

/** Added to a norm that is divided by (PyTorch's `clip_grad_norm_`). */
const epsilonNorm = 1e-6;

/** Parameters by what updates them; those of one group in the model's order. */
function parameterGroups(
  params: Parameters,
  options: OptimizerOptions,
  world: Pick<World, "mesh" | "at" | "model">,
): ParameterGroup[] {
  const groups = new Map<string, ParameterGroup>();
  for (const [name, param] of params) {
    const kind = parameterKind(name);
    const learningRateFactor = options.learningRateFactors?.[kind] ?? 1;
    const rule = updateRule(name, param.rank, options);
    const split = splitOf(name, params, world) ? world.model : undefined;
    const key = `${rule} ${learningRateFactor} ${split ? "split" : ""}`;
    const group = groups.get(key) ?? { algorithm: algorithmOf(rule, options, split), learningRateFactor, names: [] };
    groups.set(key, group);
    group.names.push(name);
  }
  return [...groups.values()];
}

/** Along what of its matrices a parameter is split over the ranks of `model`. */
function splitOf(name: string, params: Parameters, { mesh }: Pick<World, "mesh">): OptimizedParameter["split"] {
  const { modelAxis } = placementOf(name);
  if (mesh.model === 1 || modelAxis === null) return undefined;
  return modelAxis === params.get(name)!.rank - 2 ? "rows" : "columns";
}

type UpdateRule = "adafactor" | "muon" | "adamw" | "adamw without decay";

/** Weight decay is for matrices and tables; a norm's weights keep their size. */
function updateRule(name: string, rank: number, { algorithm }: OptimizerOptions): UpdateRule {
  if (algorithm === "adafactor") return algorithm;
  if (algorithm === "muon" && hasMuon(name, rank)) return "muon";
  return rank > 1 ? "adamw" : "adamw without decay";
}

/** @param split the ranks that hold the other parts, where parameters are split */
function algorithmOf(rule: UpdateRule, options: OptimizerOptions, split: RankGroup | undefined): OptimizerAlgorithm {
  if (options.algorithm === "adafactor") return split ? adafactorOfParts(split, options) : adafactor(options);
  if (split && (rule === "muon" || options.scaleByParameterRms)) {
    throw usageError("this optimizer does not know matrices that are split over ranks", {
      code: "optimizer-not-split",
      where: rule === "muon" ? "optimizer.algorithm: muon" : "optimizer.scaleByParameterRms",
      why: "it needs each matrix as a whole",
      hint: "mesh.model: 1, adafactor, or adamw without scaleByParameterRms",
    });
  }
  if (rule === "muon" && options.algorithm === "muon") return muon(options);
  return adamw(rule === "adamw" ? options : { ...options, weightDecay: 0 });
}

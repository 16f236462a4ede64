import * as tf from "@tensorflow/tfjs-core";
import { storedValues } from "../backends/storedValues.js";
import type { Part } from "../model/checkpoint/part.js";
import type { ModelConfig } from "../model/config.js";
import { type DrawOptions, initParameters, type Parameters, parameterShapes } from "../model/parameters.js";
import type { RankGroup } from "../ops/distributed/collectives.js";
import { isWhole, partOn, placementOf } from "./placement.js";
import type { World } from "./world.js";

/** What a rank holds of a parameter. */
export function partOfParameter(name: string, shape: readonly number[], { mesh, at }: World): Part {
  return partOn(shape, placementOf(name), mesh, at);
}

/**
 * A rank's parts of fresh parameters: the same numbers on any mesh. No more than one parameter is whole at a time, and of the largest stacks of
 * experts the rank's own alone.
 */
export function initParts(
  config: ModelConfig,
  seed: number,
  world: World,
  { largestStream }: Pick<DrawOptions, "largestStream"> = {},
): Parameters {
  if (isWhole(world.mesh)) return initParameters(config, seed, { largestStream });
  const parts = new Map<string, tf.Variable>();
  for (const [name, whole] of parameterShapes(config)) {
    const { begin, shape } = partOfParameter(name, whole, world);
    const experts = { begin: begin[0], count: shape[0] };
    const drawn = initParameters(config, seed, { wanted: (other) => other === name, experts, largestStream });
    const variable = drawn.get(name)!;
    const hasOwnAlone = variable.shape[0] < whole[0];
    parts.set(name, cutVariable(variable, { begin: hasOwnAlone ? [0, ...begin.slice(1)] : begin, shape }));
  }
  return parts;
}

/** A rank's parts of whole parameters, which are freed. */
export function cutParameters(whole: Parameters, world: World): Parameters {
  if (isWhole(world.mesh)) return whole;
  return new Map(
    [...whole].map(([name, variable]) => [name, cutVariable(variable, partOfParameter(name, variable.shape, world))]),
  );
}

function cutVariable(variable: tf.Variable, { begin, shape }: Part): tf.Variable {
  if (shape.join() === variable.shape.join()) return variable;
  const part = tf.tidy(() => tf.variable(tf.slice(variable, begin, shape)));
  variable.dispose();
  return part;
}

/**
 * Values of a tensor that is split along an axis over the ranks of a group: all of them call this, and all get the whole. They may be the tensor's own
 * (`storedValues`).
 */
export async function gatherValues(part: tf.Tensor, axis: number | null, group: RankGroup): Promise<Float32Array> {
  if (axis === null || group.size === 1) return storedValues(part);
  const whole = tf.tidy(() => tf.concat(tf.unstack(group.collective("gather", part)), axis));
  const values = await whole.data<"float32">();
  whole.dispose();
  return values;
}

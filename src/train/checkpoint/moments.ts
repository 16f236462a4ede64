import { readdir } from "node:fs/promises";
import { join } from "node:path";
import * as tf from "@tensorflow/tfjs-core";
import { MswitchError } from "../../base/errors.js";
import type { FileContent } from "../../base/hash.js";
import { gatherValues } from "../../distributed/modelParts.js";
import { ownerIndex } from "../../distributed/ownership.js";
import type { Placement } from "../../distributed/placement.js";
import type { World } from "../../distributed/world.js";
import { type Part, valuesOfPart } from "../../model/checkpoint/part.js";
import {
  openSafetensors,
  type SafetensorsFile,
  type TensorSource,
  writeSafetensors,
} from "../../model/checkpoint/safetensors.js";
import { optimizerName } from "../../run/checkpoint.js";

/** A moment of the optimizer, and how it lies on the mesh. */
export interface Moment {
  /** `parameter/slot` */
  name: string;
  value: tf.Variable;
  whole: number[];
  part: Part;
  placement: Placement;
}

/**
 * Writes moments to `optimizer.safetensors` in a directory. Where experts lie on several ranks each of them writes a file of its own,
 * `optimizer-00001-of-00004.safetensors`, with its experts' moments, and the first one all others too. Where ranks share the moments each writes
 * what it has. Ranks with parts of the same matrices call this together: the first of them writes.
 *
 * @returns what the files of this rank hold, by name
 */
export async function writeMoments(
  directory: string,
  moments: readonly Moment[],
  { mesh, at, model }: Pick<World, "mesh" | "at" | "model">,
): Promise<Map<string, FileContent>> {
  if (!mesh.zero && at.data > 0) return new Map();
  const own = moments.filter(({ placement }) => mesh.zero || placement.splitByExpert || at.expert === 0);
  const sources = own.map(({ name, value, whole, part, placement: { modelAxis } }): TensorSource => {
    const shape = part.shape.map((length, axis) => (mesh.model > 1 && axis === modelAxis ? whole[axis] : length));
    return { name, shape, dtype: "F32", values: () => gatherValues(value, modelAxis, model) };
  });
  if (at.model > 0) {
    for (const { values } of sources) await values();
    return new Map();
  }
  const digits = (value: number): string => String(value).padStart(5, "0");
  const [index, writers] = mesh.zero ? [ownerIndex(mesh, at), mesh.data * mesh.expert] : [at.expert, mesh.expert];
  const many = `optimizer-${digits(index + 1)}-of-${digits(writers)}.safetensors`;
  const file = writers === 1 ? optimizerName : many;
  return new Map([[file, await writeSafetensors(join(directory, file), sources)]]);
}

/**
 * Takes moments from the files that `writeMoments` wrote, on any mesh: a stack that lies in several files is in their order.
 *
 * @throws MswitchError where they are of another model or another algorithm
 */
export async function readMoments(directory: string, moments: readonly Moment[]): Promise<void> {
  const names = (await readdir(directory)).filter((name) => /^optimizer(-\d{5}-of-\d{5})?\.safetensors$/.test(name));
  const files: SafetensorsFile[] = [];
  try {
    for (const name of names.sort()) files.push(await openSafetensors(join(directory, name)));
    const pieces = moments.map((moment) => piecesOf(moment, files, directory));
    for (const [i, { name, value, whole, part }] of moments.entries()) {
      const values = new Float32Array(tf.util.sizeFromShape(part.shape));
      let written = 0;
      for (const { file, shape, first } of pieces[i]) {
        const begin = Math.max(part.begin[0], first);
        const end = Math.min(part.begin[0] + part.shape[0], first + shape[0]);
        if (begin >= end) continue;
        const rows: Part = {
          begin: [begin - first, ...part.begin.slice(1)],
          shape: [end - begin, ...part.shape.slice(1)],
        };
        const read = valuesOfPart(await file.readFloat(name), [shape[0], ...whole.slice(1)], rows);
        values.set(read, written);
        written += read.length;
      }
      tf.tidy(() => value.assign(tf.tensor(values, part.shape, "float32")));
    }
  } finally {
    for (const file of files) await file.close();
  }
}

/** Where a moment lies: in one file, or in several one after the other along its first axis. */
function piecesOf({ name, whole }: Moment, files: readonly SafetensorsFile[], directory: string) {
  const found = files.flatMap((file) => {
    const entry = file.tensors.get(name);
    return entry ? [{ file, shape: entry.shape }] : [];
  });
  let rows = 0;
  const pieces = found.map(({ file, shape }) => {
    const first = rows;
    rows += shape[0];
    return { file, shape, first };
  });
  const others = pieces.every(({ shape }) => shape.slice(1).join() === whole.slice(1).join());
  if (others && rows === whole[0]) return pieces;
  const shapes = found.map(({ shape }) => `[${shape}]`).join(" and ");
  throw new MswitchError("this is the optimizer state of another model", {
    code: "optimizer-state-mismatch",
    where: directory,
    why: found.length > 0 ? `${name} is ${shapes}, not [${whole}]` : `${name} is missing`,
  });
}

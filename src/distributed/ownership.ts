import { hasMuon } from "../model/parameterKind.js";
import type { Mesh, MeshPlace } from "./mesh.js";
import { placementOf } from "./placement.js";

/** Consecutive rows, along the first axis, of what a rank holds of a parameter, and who updates them. */
export interface OwnedRows {
  begin: number;
  rows: number;
  /** Rank in the group that sums the parameter's gradient: along `data` for experts, along `data` and `expert` for all else. */
  owner: number;
}

/** Who updates what (ZeRO stage 1): all of a parameter's rows in order, of each owner one run of them at most. */
export type Ownership = ReadonlyMap<string, readonly OwnedRows[]>;

/** What of an optimizer decides whether some rows of a matrix can be updated without the others. */
export interface RowWise {
  algorithm: string;
  scaleByParameterRms?: boolean;
}

/**
 * Shares parameters out over the ranks that hold the same: one after the other, in the order of the map, each owner an equal number of values as far as
 * rows that cannot be parted allow.
 *
 * @param shapes of a rank's parts of the parameters, which are the same on all ranks
 */
export function ownership(shapes: ReadonlyMap<string, readonly number[]>, optimizer: RowWise, mesh: Mesh): Ownership {
  const owners = new Map<string, OwnedRows[]>();
  for (const ofExperts of [false, true]) {
    const names = [...shapes.keys()].filter((name) => placementOf(name).splitByExpert === ofExperts);
    const total = names.reduce((sum, name) => sum + sizeOf(shapes.get(name)!), 0);
    const sharers = ofExperts ? mesh.data : mesh.data * mesh.expert;
    let before = 0;
    for (const name of names) {
      const shape = shapes.get(name)!;
      const [rows = 1] = shape;
      const size = sizeOf(shape);
      const unit = canPart(name, shape.length, optimizer, mesh) ? 1 : rows;
      const runs: OwnedRows[] = [];
      for (let begin = 0; begin < rows; begin += unit) {
        // By where the middle of the rows lies.
        const middle = before + ((begin + unit / 2) * size) / rows;
        const index = Math.min(sharers - 1, Math.floor((middle * sharers) / total));
        const owner = ofExperts ? index : (index % mesh.data) * mesh.expert + Math.floor(index / mesh.data);
        const last = runs.at(-1);
        if (last?.owner === owner) last.rows += unit;
        else runs.push({ begin, rows: unit, owner });
      }
      owners.set(name, runs);
      before += size;
    }
  }
  return owners;
}

/** The rows of a parameter that a rank updates; undefined where it updates none. */
export function ownRows(owners: Ownership, name: string, mesh: Mesh, at: MeshPlace): OwnedRows | undefined {
  const self = placementOf(name).splitByExpert ? at.data : at.data * mesh.expert + at.expert;
  return owners.get(name)!.find(({ owner }) => owner === self);
}

/**
 * The place of a rank's moments among those of all: the experts of one place along `expert` one after the other along `data`, and so the
 * rows of every parameter in order.
 */
export function ownerIndex(mesh: Mesh, at: MeshPlace): number {
  return at.expert * mesh.data + at.data;
}

/**
 * Whether rows can be updated alone: experts of a stack always, as each is a matrix of its own, and rows of a matrix under AdamW. All other rules
 * take a matrix as a whole. Rows that are spread over `model` stay together, so that files have them in order.
 */
function canPart(name: string, rank: number, { algorithm, scaleByParameterRms = false }: RowWise, mesh: Mesh): boolean {
  if (rank === 3) return true;
  if (rank < 2 || (mesh.model > 1 && placementOf(name).modelAxis === 0)) return false;
  return !scaleByParameterRms && (algorithm === "adamw" || (algorithm === "muon" && !hasMuon(name, rank)));
}

function sizeOf(shape: readonly number[]): number {
  return shape.reduce((product, length) => product * length, 1);
}

import { expect, test } from "vitest";
import { parameterShapes } from "../model/parameters.js";
import { preset } from "../model/presets.js";
import { type Mesh, meshSize, placeOf } from "./mesh.js";
import { ownerIndex, ownership, ownRows } from "./ownership.js";
import { partOn, placementOf } from "./placement.js";

const model = { ...preset("tiny"), switch: { ...preset("switch-base").switch!, experts: 8, every: 1 } };

function shapesOn(mesh: Mesh, rank: number): Map<string, number[]> {
  const at = placeOf(mesh, rank);
  return new Map(
    [...parameterShapes(model)].map(([name, shape]) => [name, partOn(shape, placementOf(name), mesh, at).shape]),
  );
}

test.each<[string, Mesh]>([
  ["adamw", { data: 3, expert: 1, model: 1, zero: 1 }],
  ["adamw", { data: 2, expert: 4, model: 2, zero: 1 }],
  ["muon", { data: 5, expert: 2, model: 1, zero: 1 }],
  ["adafactor", { data: 4, expert: 2, model: 2, zero: 1 }],
])("%s on %o: each row of a parameter has one owner, and files have them in order", (algorithm, mesh) => {
  const owned = new Map<string, { index: number; begin: number; rows: number }[]>();
  for (let rank = 0; rank < meshSize(mesh); rank += mesh.model) {
    const at = placeOf(mesh, rank);
    const shapes = shapesOn(mesh, rank);
    const owners = ownership(shapes, { algorithm }, mesh);
    for (const [name, shape] of shapes) {
      const own = ownRows(owners, name, mesh, at);
      if (!own) continue;
      const first = placementOf(name).splitByExpert ? at.expert * shape[0] : 0;
      const all = owned.get(name) ?? [];
      owned.set(name, [...all, { index: ownerIndex(mesh, at), begin: first + own.begin, rows: own.rows }]);
    }
  }
  for (const [name, whole] of parameterShapes(model)) {
    const { splitByExpert } = placementOf(name);
    let next = 0;
    for (const { begin, rows } of owned.get(name)!.sort((a, b) => a.index - b.index)) {
      expect(begin, name).toBe(next);
      next += rows;
    }
    expect(next, name).toBe(splitByExpert ? whole[0] : shapesOn(mesh, 0).get(name)![0]);
  }
});

test("with AdamW all owners have as much; a matrix that Adafactor or Muon updates stays whole", () => {
  const mesh: Mesh = { data: 4, expert: 1, model: 1, zero: 1 };
  const shapes = shapesOn(mesh, 0);
  const sharesOf = (algorithm: string): number[] => {
    const shares = [0, 0, 0, 0];
    for (const [name, runs] of ownership(shapes, { algorithm }, mesh)) {
      const [rows, ...rest] = shapes.get(name)!;
      for (const run of runs) {
        shares[run.owner] += run.rows * rest.reduce((product, length) => product * length, 1);
        if (algorithm === "adafactor" && rest.length === 1) expect(run.rows).toBe(rows);
      }
    }
    return shares;
  };
  const equal = [...shapes.values()].reduce((sum, shape) => sum + shape.reduce((a, b) => a * b, 1), 0) / 4;
  for (const share of sharesOf("adamw")) expect(Math.abs(share / equal - 1)).toBeLessThan(0.01);
  expect(sharesOf("adafactor").reduce((a, b) => a + b)).toBe(4 * equal);
});

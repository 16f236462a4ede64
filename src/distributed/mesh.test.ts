import { describe, expect, test } from "vitest";
import { valuesOfPart } from "../model/checkpoint/part.js";
import { preset } from "../model/presets.js";
import { adafactorStateShapes } from "../ops/optimizers/adafactor.js";
import { meshFor, meshSize, placeOf, ranksAlong } from "./mesh.js";
import { copiesOf, momentPlacement, partOn, placementOf, wholeShape } from "./placement.js";

const mesh = { data: 2, expert: 3, model: 2 };
const ranks = Array.from({ length: meshSize(mesh) }, (_, rank) => rank);
const model = preset("switch-base");

describe("places", () => {
  test("each rank has one, neighbours differ in model first, then in expert", () => {
    expect(ranks.slice(0, 4).map((rank) => placeOf(mesh, rank))).toEqual([
      { data: 0, expert: 0, model: 0 },
      { data: 0, expert: 0, model: 1 },
      { data: 0, expert: 1, model: 0 },
      { data: 0, expert: 1, model: 1 },
    ]);
    expect(new Set(ranks.map((rank) => JSON.stringify(placeOf(mesh, rank)))).size).toBe(ranks.length);
  });

  test("groups along axes share out all ranks, and agree on the other axes", () => {
    expect(ranksAlong(mesh, ["model"])[0]).toEqual([0, 1]);
    expect(ranksAlong(mesh, ["expert"])[0]).toEqual([0, 2, 4]);
    expect(ranksAlong(mesh, ["data"])[0]).toEqual([0, 6]);
    const batch = ranksAlong(mesh, ["data", "expert"]);
    expect(batch).toHaveLength(2);
    expect(batch.flat().sort((a, b) => a - b)).toEqual(ranks);
    for (const group of batch) expect(new Set(group.map((rank) => placeOf(mesh, rank).model)).size).toBe(1);
  });
});

describe("the mesh of a run", () => {
  test("data is as long as the other axes leave it", () => {
    expect(meshFor({}, 4, model, 32)).toEqual({ data: 4, expert: 1, model: 1 });
    expect(meshFor({ expert: 2 }, 4, model, 32)).toEqual({ data: 2, expert: 2, model: 1 });
    expect(meshFor({ data: 1, expert: 2, model: 2 }, 4, model, 32)).toEqual({ data: 1, expert: 2, model: 2 });
  });

  test.each([
    ["too many processes", { data: 1, expert: 2 }, 4, 32],
    ["one process for two ranks", { expert: 2 }, 1, 32],
    ["experts that do not divide", { expert: 3 }, 3, 33],
    ["a batch that does not divide", {}, 3, 32],
  ])("%s: refused, with what would fit", (_, wanted, size, batchSize) => {
    expect(() => meshFor(wanted, size, model, batchSize)).toThrow(
      expect.objectContaining({ code: "world-not-fitting", exitCode: 2, hint: expect.stringMatching(/\w/) }),
    );
  });
});

describe("parts", () => {
  const cases: [string, number[]][] = [
    ["shared.weight", [4, 3]],
    ["encoder.block.0.layer.0.SelfAttention.o.weight", [3, 4]],
    ["encoder.block.0.layer.1.mlp.experts.wi_0.weight", [3, 4, 5]],
    ["encoder.block.0.layer.1.mlp.experts.wo.weight", [6, 5, 4]],
    ["encoder.block.0.layer.1.mlp.router.classifier.weight", [3, 5]],
    ["encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight", [3, 4]],
  ];

  test.each(cases)("%s: the ranks together hold each number as often as there are copies", (name, shape) => {
    const placement = placementOf(name);
    const size = shape.reduce((a, b) => a * b);
    const whole = Float32Array.from({ length: size }, (_, i) => i);
    const seen = new Array<number>(size).fill(0);
    for (const rank of ranks) {
      const part = partOn(shape, placement, mesh, placeOf(mesh, rank));
      expect(wholeShape(part.shape, placement, mesh)).toEqual(shape);
      for (const value of valuesOfPart(whole, shape, part)) seen[value]++;
    }
    expect(new Set(seen)).toEqual(new Set([copiesOf(placement, mesh)]));
  });

  test("a block in the middle", () => {
    const whole = Float32Array.from({ length: 24 }, (_, i) => i);
    const part = { begin: [1, 1, 2], shape: [1, 2, 2] };
    expect([...valuesOfPart(whole, [2, 3, 4], part)]).toEqual([18, 19, 22, 23]);
  });

  test.each(cases)("%s: moments are split as the axes that they keep", (name, shape) => {
    const placement = placementOf(name);
    const at = placeOf(mesh, ranks.length - 1);
    const part = partOn(shape, placement, mesh, at);
    const [whole, own] = [shape, part.shape].map((of) => adafactorStateShapes(of, 1));
    for (const [slot, of] of whole) {
      const moment = partOn(of, momentPlacement(placement, slot, shape.length), mesh, at);
      expect(moment.shape).toEqual(own.get(slot));
    }
  });
});

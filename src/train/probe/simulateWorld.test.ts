import { expect, test } from "vitest";
import type { CalledCollective } from "../../distributed/simulatedWorld.js";
import { requireSameCollectives } from "./simulateWorld.js";

const one: CalledCollective = { axis: "expert", kind: "exchange", shapes: [[4, 8]], bytes: 128 };
const other: CalledCollective = { axis: "batch", kind: "sum together", shapes: [[8], [3]], bytes: 44 };

test("ranks that would wait for each other are told apart", () => {
  const ranks = (...collectives: CalledCollective[][]) =>
    collectives.map((called, rank) => ({ rank, collectives: called }));
  expect(() => requireSameCollectives(ranks([one, other], [one, other]))).not.toThrow();
  const refused = expect.objectContaining({ code: "collectives-differ", exitCode: 2 });
  expect(() => requireSameCollectives(ranks([one, other], [other, one]))).toThrow(refused);
  expect(() => requireSameCollectives(ranks([one], [one, other]))).toThrow(refused);
  expect(() => requireSameCollectives(ranks([one], [one], [{ ...one, shapes: [[8, 4]] }]))).toThrow(refused);
  // Of groups that two ranks do not share each may sum what it owns.
  const areOneGroup = (_: number, __: number, axis: string) => axis !== "expert";
  expect(() => requireSameCollectives(ranks([one, other], [other]), areOneGroup)).not.toThrow();
  expect(() => requireSameCollectives(ranks([one, other], [one]), areOneGroup)).toThrow(refused);
});

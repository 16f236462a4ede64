import { expect, it } from "vitest";
import { philox } from "./philox.js";

const words = (key: [number, number], counter: [number, number, number, number]): string[] => {
  const out = new Uint32Array(4);
  philox(key, ...counter, out, 0);
  return [...out].map((word) => word.toString(16).padStart(8, "0"));
};

// The known answers that Random123, the authors' library, ships (kat_vectors, philox4x32 10).
it("gives the authors' known answers", () => {
  expect(words([0, 0], [0, 0, 0, 0])).toEqual(["6627e8d5", "e169c58d", "bc57ac4c", "9b00dbd8"]);
  const ones = 0xffffffff;
  expect(words([ones, ones], [ones, ones, ones, ones])).toEqual(["408f276d", "41c83b0e", "a20bc7c6", "6d5451fd"]);
  expect(words([0xa4093822, 0x299f31d0], [0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344])).toEqual([
    ...["d16cfe09", "94fdcceb", "5001e420", "24126ea1"],
  ]);
});

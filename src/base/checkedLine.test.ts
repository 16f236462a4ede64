import fc from "fast-check";
import { expect, test } from "vitest";
import { formatCheckedLine, parseCheckedLine } from "./checkedLine.js";

const line = formatCheckedLine({ step: 12, trainSeconds: 3.25, name: 'a "quoted" one' }).trimEnd();

test("a line comes back as it was written", () => {
  expect(parseCheckedLine(line)).toMatchObject({ step: 12, trainSeconds: 3.25, name: 'a "quoted" one' });
  expect(formatCheckedLine({ a: 1 })).toMatch(/^\{"a":1,"check":"[0-9a-f]{8}"\}\n$/);
});

test("a line with any character changed or cut away is damaged", () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: line.length - 1 }), fc.string({ maxLength: 2 }), (at, other) => {
      fc.pre(other !== line[at]);
      expect(parseCheckedLine(line.slice(0, at) + other + line.slice(at + 1))).toBeUndefined();
    }),
    { seed: 1, numRuns: 500 },
  );
  expect(parseCheckedLine('{"step":1}')).toBeUndefined();
});

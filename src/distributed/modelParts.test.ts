import { beforeAll, expect, test } from "vitest";
import { loadBackend } from "../backends/loadBackend.js";
import { valuesOfPart } from "../model/checkpoint/part.js";
import { disposeParameters, initParameters } from "../model/parameters.js";
import { preset, switchTwin } from "../model/presets.js";
import { meshSize } from "./mesh.js";
import { initParts, partOfParameter } from "./modelParts.js";
import { simulatedWorld } from "./simulatedWorld.js";

const mesh = { data: 1, expert: 2, model: 2 };
const dense = { ...preset("tiny"), vocabSize: 40, dModel: 8, dFf: 12, dKv: 4, heads: 2 };
const model = switchTwin(dense, { experts: 4, group: "batch" });

beforeAll(() => loadBackend("cpu"));

// With a random stream for each expert a rank draws its own alone.
test.each([2 ** 30, 100])(
  "ranks draw their parts of the model that one process draws; streams of %d",
  (largestStream) => {
    const whole = initParameters(model, 3, { largestStream });
    for (let rank = 0; rank < meshSize(mesh); rank++) {
      const world = simulatedWorld(mesh, rank, []);
      const parts = initParts(model, 3, world, { largestStream });
      expect([...parts.keys()]).toEqual([...whole.keys()]);
      for (const [name, variable] of whole) {
        const part = partOfParameter(name, variable.shape, world);
        expect(parts.get(name)!.shape).toEqual(part.shape);
        const values = valuesOfPart(variable.dataSync<"float32">(), variable.shape, part);
        expect(parts.get(name)!.dataSync()).toEqual(values);
      }
      disposeParameters(parts);
    }
    disposeParameters(whole);
  },
);

test("a stack of experts beyond a stream has other numbers than one within", () => {
  const wanted = (name: string): boolean => name.endsWith("experts.wo.weight");
  const [within, beyond] = [undefined, 100].map((largestStream) => initParameters(model, 3, { wanted, largestStream }));
  for (const [name, variable] of within) {
    expect(beyond.get(name)!.shape).toEqual(variable.shape);
    expect(beyond.get(name)!.dataSync()).not.toEqual(variable.dataSync());
  }
  for (const params of [within, beyond]) disposeParameters(params);
});

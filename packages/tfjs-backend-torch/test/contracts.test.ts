// Calls that are not what an operation declares end in an error that names operation and argument, before a kernel sees them.
import * as tf from "@tensorflow/tfjs-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { overwrite, record } from "../src/graph.js";
import { allKernels } from "../src/kernels/all.js";
import { nativeAddon, nativeSignatures } from "../src/native.js";
import { setTorchThreads, torchStatus } from "../src/register.js";

const f = (...shape: number[]): tf.Tensor => tf.ones(shape);
const ints = (values: number[], shape = [values.length]): tf.Tensor => tf.tensor(values, shape, "int32");
const run = (name: string, inputs: Record<string, tf.Tensor | undefined>, attributes: object = {}): unknown =>
  tf.engine().runKernel(name, inputs as tf.NamedTensorMap, attributes as tf.NamedAttrMap);

beforeAll(async () => {
  await tf.setBackend("torch:cpu");
  setTorchThreads(1);
  tf.engine().startScope();
});
afterAll(() => tf.engine().endScope());

const attention = () => ({ query: f(2, 3, 4), q: f(6, 4), k: f(6, 4), v: f(6, 4), o: f(4, 6) });
const nothingDropped = { rate: 0, scale: 1, key: [0, 0] };
const heads = { heads: 2, causal: false, ...nothingDropped };
const experts = () => ({
  slots: f(2, 4, 3),
  occupied: ints([2, 1, 0, 2], [2, 2]),
  wi0: f(2, 5, 3),
  wo: f(2, 3, 5),
});
const crossEntropy = () => ({ hidden: f(2, 3), weight: f(5, 3), target: ints([0, 4]), tokenWeight: f(2) });

describe("calls that read or wrote out of bounds, or ended the process", () => {
  const cases: [string, string, () => Record<string, tf.Tensor | undefined>, object?][] = [
    ["TorchEmbedding", "ids", () => ({ table: f(3, 2), ids: ints([0, 3]) }), { precision: "float32" }],
    ["TorchEmbedding", "ids", () => ({ table: f(3, 2), ids: ints([-1]) }), { precision: "float32" }],
    ["TorchEmbeddingGrad", "ids", () => ({ dy: f(2, 4), ids: ints([0, 9]) }), { rows: 9 }],
    ["TorchEmbeddingGrad", "ids", () => ({ dy: f(3, 4), ids: ints([0, 1]) }), { rows: 9 }],
    ["TorchResidual", "y", () => ({ x: f(2, 4), y: f(2, 3) }), nothingDropped],
    ["TorchRmsNorm", "weight", () => ({ x: f(2, 4), weight: f(3) }), { epsilon: 1e-6, precision: "float32" }],
    ["TorchRmsNorm", "x", () => ({ x: f(2, 0), weight: f(0) }), { epsilon: 1e-6, precision: "float32" }],
    ["TorchRmsNormGrad", "inverse", () => ({ dy: f(2, 4), x: f(2, 4), weight: f(4), inverse: f(1) })],
    ["TorchRmsNormGrad", "dx", () => ({ dy: f(2, 4), x: f(2, 4), weight: f(4), inverse: f(2), dx: f(1, 4) })],
    ["TorchFeedForward", "wo", () => ({ x: f(2, 4), wi0: f(6, 4), wi1: f(6, 4), wo: f(4, 7) }), nothingDropped],
    ["TorchFeedForward", "wi1", () => ({ x: f(2, 4), wi0: f(6, 4), wi1: f(5, 4), wo: f(4, 6) }), nothingDropped],
    [
      "TorchFeedForwardGrad",
      "h",
      () => ({ dy: f(2, 4), x: f(2, 4), h: f(2, 5), wi: f(12, 4), wo: f(4, 6) }),
      nothingDropped,
    ],
    ["TorchAttention", "heads", attention, { ...heads, heads: 0 }],
    ["TorchAttention", "q", attention, { ...heads, heads: 4 }],
    ["TorchAttention", "position", () => ({ ...attention(), position: f(4, 2) }), heads],
    ["TorchAttention", "position", () => ({ ...attention(), position: f(5, 1) }), heads],
    ["TorchAttention", "real", () => ({ ...attention(), real: f(2, 2) }), heads],
    ["TorchAttention", "k", () => ({ ...attention(), memory: f(2, 5, 3) }), heads],
    [
      "TorchRouter",
      "real",
      () => ({ logits: f(4, 3), real: f(3) }),
      { groups: 1, capacity: 2, ignorePadding: true, sequences: 2 },
    ],
    [
      "TorchRouter",
      "groups",
      () => ({ logits: f(4, 3), real: f(4) }),
      { groups: 2, capacity: 2, ignorePadding: true, sequences: 3 },
    ],
    [
      "TorchRouterGrad",
      "expert",
      () => ({ dy: f(6), probs: f(4, 3), expert: ints([0, 3, 1, 2]), logZ: f(4), share: f(1, 3) }),
    ],
    [
      "TorchRouterGrad",
      "logZ",
      () => ({ dy: f(6), probs: f(4, 3), expert: ints([0, -1, 1, 2]), logZ: f(3), share: f(1, 3) }),
    ],
    ["TorchDispatch", "slot", () => ({ x: f(2, 3), slot: ints([0, 5]) }), { slots: 4 }],
    ["TorchCombine", "slot", () => ({ y: f(4, 3), slot: ints([0, -1]) })],
    ["TorchCombine", "gate", () => ({ y: f(4, 3), slot: ints([0, 1]), gate: f(1) })],
    ["TorchCombineGrad", "gate", () => ({ dy: f(2, 3), y: f(4, 3), slot: ints([0, 1]), gate: f(1) })],
    [
      "TorchExpertFeedForward",
      "occupied",
      () => ({ ...experts(), occupied: ints([2, 1, 0, 3], [2, 2]) }),
      nothingDropped,
    ],
    ["TorchExpertFeedForward", "slots", () => ({ ...experts(), slots: f(2, 5, 3) }), nothingDropped],
    ["TorchExpertFeedForwardGrad", "pre0", () => ({ ...experts(), dy: f(2, 4, 3), pre0: f(2, 3, 5) }), nothingDropped],
    ["TorchLinearCrossEntropy", "target", () => ({ ...crossEntropy(), target: ints([0, 5]) }), { maxLogits: 8 }],
    ["TorchLinearCrossEntropy", "tokenWeight", () => ({ ...crossEntropy(), tokenWeight: f(1) }), { maxLogits: 8 }],
  ];
  test.each(cases)("%s: %s", (name, argument, inputs, attributes) => {
    expect(() => run(name, inputs(), attributes)).toThrow(new RegExp(`^${name}\\b.*?: ${argument}: `));
  });
});

// libtorch reads past the end of a gradient of another shape; `npm run check:kernels` found these.
test.each([
  ["AvgPool3DGrad", { dy: [0, 2, 2, 2, 3], input: [1, 4, 4, 4, 3] }, { filterSize: 2 }],
  ["MaxPool3DGrad", { dy: [1, 2, 2, 1, 3], input: [1, 4, 4, 4, 3] }, { filterSize: 2 }],
  ["Conv2DBackpropInput", { dy: [0, 2, 2, 2], filter: [2, 2, 1, 2] }, { inputShape: [1, 4, 4, 1] }],
  ["Conv3DBackpropFilterV2", { x: [1, 4, 4, 4, 1], dy: [2, 2, 2, 2, 1] }, { filterShape: [2, 2, 2, 1, 1] }],
] as [string, Record<string, number[]>, object][])("%s: a gradient of another shape", (name, shapes, attributes) => {
  const inputs = Object.fromEntries(Object.entries(shapes).map(([input, shape]) => [input, f(...shape)]));
  const rest = { strides: 2, pad: "valid", dataFormat: name.includes("3D") ? "NDHWC" : "NHWC" };
  expect(() => run(name, inputs, { ...rest, ...attributes })).toThrow(/^(?:Avg|Max|Conv).*?: dy: shape/);
});

describe("names", () => {
  test("an attribute or input that is not declared is refused", () => {
    expect(() => run("TorchResidual", { x: f(2), y: f(2), z: f(2) }, nothingDropped)).toThrow(/^TorchResidual: z: /);
    expect(() => run("TorchResidual", { x: f(2), y: f(2) }, { ...nothingDropped, rows: 1 })).toThrow(
      /^TorchResidual: rows: /,
    );
  });

  test("one that is missing or of another kind is named", () => {
    expect(() => run("TorchResidual", { x: f(2), y: undefined }, nothingDropped)).toThrow(
      /^TorchResidual: y: is missing/,
    );
    expect(() => run("TorchEmbeddingGrad", { dy: f(2, 2), ids: ints([0, 1]) }, { rows: 1.5 })).toThrow(
      /^TorchEmbeddingGrad: rows: /,
    );
    expect(() => run("TorchPrecision", { x: f(2) }, { precision: "float64" })).toThrow(/^TorchPrecision: precision: /);
    expect(() => run("TorchResidual", { x: f(2), y: ints([1, 2]) }, nothingDropped)).toThrow(/: y: dtype/);
  });
});

describe("graphs", () => {
  test("one that never was is refused, whatever the build", () => {
    for (const graph of [0, -1, 2 ** 30]) {
      expect(() => nativeAddon().graphReplay(graph)).toThrow(`graph ${graph} has been released, or never was`);
      expect(() => nativeAddon().graphRelease(graph)).toThrow(`graph ${graph} has been released, or never was`);
    }
  });

  const { info } = torchStatus() as { info: { cudaDevices: number; graphs: boolean } };
  test.skipIf(info.cudaDevices === 0 || !info.graphs)("one that was released is refused", async () => {
    await tf.setBackend("torch:cuda");
    const x = tf.ones([4]);
    tf.add(x, x).dataSync();
    const recorded = record(() => tf.keep(tf.add(x, x)));
    recorded.replay();
    recorded.dispose();
    expect(() => recorded.replay()).toThrow(/has been released/);
    expect(() => recorded.dispose()).toThrow(/has been released/);
    await tf.setBackend("torch:cpu");
  });
});

describe("work recorded on the CPU", () => {
  const values = (x: tf.Tensor) => Array.from(x.dataSync());

  test("runs once while it is recorded, then anew on new values, constants and views included", () => {
    const x = tf.tensor1d([1, 2, 3, 4]);
    let y: tf.Tensor | undefined;
    const work = record(() => {
      // A constant, a view, a tensor that is freed on the way and its handle taken again.
      y = tf.tidy(() =>
        tf.add(tf.transpose(tf.reshape(tf.mul(x, tf.scalar(2)), [2, 2])), tf.square(tf.tensor1d([1, 0]))),
      );
    });
    expect(values(y!)).toEqual([3, 6, 5, 8]);
    const { torchTensors, torchBytes } = tf.memory() as unknown as { torchTensors: number; torchBytes: number };
    overwrite(x, Float32Array.of(5, 6, 7, 8));
    work.replay();
    expect(values(y!)).toEqual([11, 14, 13, 16]);
    work.replay();
    expect(values(y!)).toEqual([11, 14, 13, 16]);
    // Nothing of a run stays behind.
    expect(tf.memory()).toMatchObject({ torchTensors, torchBytes });
    work.dispose();
    expect(() => work.replay()).toThrow(/has been released, or never was/);
    expect(values(y!)).toEqual([11, 14, 13, 16]);
    tf.dispose([x, y!]);
  });

  test("leaves a tensor alone that took the handle of one that was let go", () => {
    const x = tf.tensor1d([1]);
    const made: tf.Tensor[] = [];
    const work = record(() => void made.push(tf.add(x, x), tf.mul(x, x)));
    made[0]!.dispose();
    const other = tf.tensor1d([7]);
    overwrite(x, Float32Array.of(3));
    work.replay();
    expect([...values(other), ...values(made[1]!)]).toEqual([7, 9]);
    work.dispose();
    tf.dispose([x, other, made[1]!]);
  });

  test("must read and overwrite nothing; after that another recording can begin", () => {
    const x = tf.tensor1d([1]);
    expect(() => record(() => void x.dataSync())).toThrow(/cannot be read while work is recorded/);
    expect(() => record(() => overwrite(x, Float32Array.of(2)))).toThrow(
      /cannot be overwritten while work is recorded/,
    );
    expect(() => record(() => void record(() => undefined))).toThrow(/work is being recorded already/);
    record(() => tf.add(x, x).dispose()).dispose();
    expect(values(x)).toEqual([1]);
    x.dispose();
  });

  test("says which operation of it failed", () => {
    const [x, table] = [tf.tensor1d([0], "int32"), tf.ones([2, 2])];
    const work = record(() => tf.gather(table, x).dispose());
    overwrite(x, Int32Array.of(9));
    expect(() => work.replay()).toThrow(/GatherV2/);
    work.dispose();
    tf.dispose([x, table]);
  });
});

describe("declarations", () => {
  test("each kernel that TensorFlow.js does not have is an operation of the same name", () => {
    const composed = ["TorchRmsNormStream", "TorchNormals"];
    const kernels = Object.keys(allKernels).filter((name) => name.startsWith("Torch") && !composed.includes(name));
    const declared = nativeSignatures().map(({ name }) => name);
    expect(declared.filter((name) => name.startsWith("Torch")).sort()).toEqual(kernels.sort());
    expect(new Set(declared).size).toBe(declared.length);
  });

  test("results are what is declared, of views too", () => {
    const transposed = (...shape: number[]) => tf.transpose(f(...[...shape].reverse()));
    const [y, inverse] = run(
      "TorchRmsNorm",
      { x: transposed(2, 3, 4), weight: f(4) },
      { epsilon: 0, precision: "float32" },
    ) as [tf.Tensor, tf.Tensor];
    expect([y.shape, inverse.shape]).toEqual([[2, 3, 4], [6]]);
    const share = tf.transpose(tf.tensor([1, 2, 3, 4, 5, 6], [3, 2]));
    const d = (x: tf.Tensor) =>
      (
        run("TorchRouterGrad", {
          dy: f(6),
          probs: tf.fill([4, 3], 1 / 3),
          expert: ints([0, -1, 1, 2]),
          logZ: f(4),
          share: x,
        }) as tf.Tensor
      ).dataSync();
    expect(d(share)).toEqual(d(tf.tensor(Array.from(share.dataSync()), [2, 3])));
  });
});

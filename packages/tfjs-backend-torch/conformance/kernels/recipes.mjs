// What the declarations of some operations do not say and a valid call needs: the kernel or libtorch holds calls to it. A recipe
// changes a drawn call, whose tensors have dtype and shape and no values yet.

/** An image of two or three spatial dimensions, 4 each, with windows of 2 and the sizes of all that belongs to it. */
function geometry(call, random, image) {
  const rank = random.int(2, 3);
  const all = (size) => Array(rank).fill(size);
  const batch = random.int(1, 2);
  const channels = random.int(1, 3);
  const channelsLast = random.int(0, 1) === 1;
  const shaped = (size, depth) => (channelsLast ? [batch, ...all(size), depth] : [batch, depth, ...all(size)]);
  const stride = random.int(1, 2);
  const out = stride === 1 ? 3 : 2;
  Object.assign(call.attributes, {
    strides: all(stride),
    dilations: all(1),
    before: all(0),
    out: all(out),
    channelsLast,
  });
  if (image !== null) call.inputs[image].shape = shaped(4, channels);
  return { rank, all, channels, shaped, out };
}

function convolution(call, random, image) {
  const { all, channels, shaped, out } = geometry(call, random, image);
  const depthwise = random.int(0, 1) === 1;
  const second = random.int(1, 2);
  const filter = [...all(2), channels, second];
  call.attributes.depthwise = depthwise;
  const dy = shaped(out, depthwise ? channels * second : second);
  return { filter, dy, x: shaped(4, channels), depth: dy.length };
}

function pooling(image) {
  return (call, random) => {
    const { all, channels, shaped, out } = geometry(call, random, image);
    call.attributes.kernel = all(2);
    if (call.inputs.dy) call.inputs.dy.shape = shaped(out, channels);
  };
}

/** One or two parameters of an optimizer: value, gradient and moments of float32. */
function optimizer(moments) {
  return (call, random) => {
    const float = (shape) => ({ dtype: "float32", shape });
    call.inputs.parameters = [];
    call.attributes.layout = [];
    for (let i = random.int(1, 2); i > 0; i--) {
      const shape = [1, random.int(1, 3), random.int(1, 3)];
      call.inputs.parameters.push(...Array.from({ length: 2 + moments }, () => float(shape)));
      call.attributes.layout.push(...shape, moments);
    }
  };
}

/** An output layer, whose rows are kept as bytes, four to a number. */
function head(call, random) {
  const [tokens, rows, quarter] = [random.int(1, 2), random.int(1, 3), random.int(1, 2)];
  call.inputs.weight.shape = [rows, 4 * quarter];
  if (!call.inputs.hidden) return;
  call.inputs.hidden.shape = [tokens, 4 * quarter];
  call.inputs.bytes.shape = [rows, quarter];
  call.inputs.bounds.shape = [3, rows];
}

export const recipes = {
  // This process alone: a drawn group would not be there.
  TorchCollective: (call) => {
    call.attributes.group = -1;
  },
  TorchPackHead: head,
  TorchLikeliestToken: head,
  TorchAdafactor: optimizer(1),
  TorchAdamW: optimizer(2),
  TorchMuon: optimizer(1),
  Conv: (call, random) => {
    call.inputs.filter.shape = convolution(call, random, "x").filter;
  },
  FusedConv: (call, random) => {
    call.inputs.filter.shape = convolution(call, random, "x").filter;
    for (const name of ["bias", "preluActivationWeights"]) if (call.inputs[name]) call.inputs[name].shape = [1];
  },
  ConvBackpropFilter: (call, random) => {
    const { filter, dy } = convolution(call, random, "x");
    call.inputs.dy.shape = dy;
    call.attributes.filterShape = filter;
  },
  ConvBackpropInput: (call, random) => {
    const { filter, dy, x } = convolution(call, random, null);
    call.inputs.dy.shape = dy;
    call.inputs.filter.shape = filter;
    call.attributes.inputShape = x;
  },
  AvgPool: pooling("x"),
  AvgPoolGrad: pooling("input"),
  MaxPool: pooling("x"),
  MaxPoolGrad: pooling("input"),
  MaxPoolWithArgmax: pooling("x"),
  Einsum: (call, random) => {
    const [i, j, k] = [random.int(1, 3), random.int(1, 3), random.int(1, 3)];
    const { dtype } = call.inputs.operands[0];
    call.inputs.operands = [
      [i, j],
      [j, k],
    ].map((shape) => ({ dtype, shape }));
    call.attributes.equation = "ij,jk->ik";
  },
  GatherV2: (call, random) => {
    const [rows, width, taken] = [random.int(2, 3), random.int(1, 3), random.int(1, 3)];
    call.inputs.x.shape = [rows, width];
    call.inputs.indices.shape = [taken];
    Object.assign(call.attributes, { flat: [1, 1, rows, width], shape: [taken, width] });
  },
  GatherNd: (call, random) => {
    const [width, taken] = [random.int(1, 3), random.int(1, 3)];
    call.inputs.params.shape = [2, width];
    call.inputs.indices.shape = [taken, 1];
    Object.assign(call.attributes, { depth: 1, shape: [taken, width] });
  },
  ScatterNd: (call, random) => {
    const [width, given] = [random.int(1, 3), random.int(1, 3)];
    call.inputs.indices.shape = [given, 1];
    call.inputs.updates.shape = [given, width];
    Object.assign(call.attributes, { depth: 1, shape: [2, width] });
  },
  TensorScatterUpdate: (call, random) => {
    const [width, given] = [random.int(1, 3), random.int(1, 3)];
    call.inputs.tensor.shape = [2, width];
    call.inputs.indices.shape = [given, 1];
    call.inputs.updates.shape = [given, width];
    Object.assign(call.attributes, { depth: 1, shape: [2, width] });
  },
};

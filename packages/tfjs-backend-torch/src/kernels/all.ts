import { convolutionKernels } from "./convolution.js";
import { elementwiseKernels } from "./elementwise.js";
import { hostKernels, withStrings } from "./host.js";
import { imageKernels } from "./image.js";
import { indexingKernels } from "./indexing.js";
import type { KernelTable } from "./kernel.js";
import { matmulKernels } from "./matmul.js";
import { poolingKernels } from "./pooling.js";
import { reductionKernels } from "./reductions.js";
import { shapeKernels } from "./shapes.js";
import { transformerKernels } from "./transformer.js";

/** Every kernel of this backend by name. */
export const allKernels: KernelTable = {
  ...withStrings({
    ...convolutionKernels,
    ...elementwiseKernels,
    ...imageKernels,
    ...indexingKernels,
    ...matmulKernels,
    ...poolingKernels,
    ...reductionKernels,
    ...shapeKernels,
  }),
  ...hostKernels,
  ...transformerKernels,
};

// npm run conformance: TensorFlow.js's own tests, as published in @tensorflow/tfjs-core, on this backend.
//   CONFORMANCE_BACKEND=torch|torch:cpu|torch:cuda|cpu|tensorflow     which backend (torch:cpu)
//   CONFORMANCE_PACKAGE=DIR                                of a package that registers the backend: @tensorflow/tfjs-node of `tensorflow`
//   CONFORMANCE_FILTER=text                                only specs whose name holds the text
// Ends with `N passed, N failed, N skipped`; exit code 1 when anything failed that skips.json does not list.
import { pathToFileURL } from "node:url";
import { bundleConformance } from "./bundle.mjs";

await import(pathToFileURL(await bundleConformance()).href);

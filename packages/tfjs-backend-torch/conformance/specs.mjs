// Entry of the bundle: TensorFlow.js's published tests on one backend of this package. The environment must be set before the
// tests are evaluated, so the order of imports counts.
import "./environment.mjs";
import "@tensorflow/tfjs-core/dist/tests.js";

import { hasBfloat16 } from "../ops/precision.js";
import type { ModelConfig } from "./config.js";

/**
 * What to tell a user who asked for another precision than the backend that is set has: TensorFlow.js's own backends compute in
 * float32, to which "selective" and "bfloat16" fall back. Undefined where there is nothing to tell.
 */
export function precisionNotice({ precision }: ModelConfig, backend: string): string | undefined {
  if (precision === "float32" || hasBfloat16()) return undefined;
  return `precision "${precision}" is not available on the ${backend} backend: computing in float32`;
}

import type { AttributeValues } from "../signature.js";

/** The attributes of a fused kernel's activation; none means linear. */
export function activationOf(attrs: { activation?: string | null; leakyreluAlpha?: number }): AttributeValues {
  return { activation: attrs.activation ?? "linear", leakyreluAlpha: attrs.leakyreluAlpha ?? 0 };
}

/** Activations of the fused kernels; positions are native/call.h's codes. */
const activations = ["linear", "relu", "relu6", "elu", "sigmoid", "prelu", "leakyrelu"];

/** The addon's code of an activation; none means linear. */
export function activationCode(activation: string | null | undefined): number {
  const code = activations.indexOf(activation ?? "linear");
  if (code < 0) throw new Error(`Activation ${activation} has not been implemented for the torch backend.`);
  return code;
}

// The child process of check:kernels: runs valid, wrong and open calls of the operations and tells the parent what came.
import { openSync, writeSync } from "node:fs";
import { callNative, nativeAddon, nativeDtypes, nativeSignatures } from "../../dist/native.js";
import { Random, validCall } from "./validCall.mjs";
import { openCall, wrongCall } from "./wrongCalls.mjs";

const { calls, seed, only, first, lastCall } = JSON.parse(process.argv[2]);
const addon = nativeAddon();
addon.setThreads(1);
const log = openSync(lastCall, "w");
const callsOfOneValid = 20;

const arrays = {
  float32: Float32Array,
  bfloat16: Float32Array,
  int32: Int32Array,
  bool: Uint8Array,
  complex64: Float32Array,
};

function upload({ dtype, shape, values }) {
  const code = nativeDtypes.indexOf(dtype === "bfloat16" ? "float32" : dtype);
  const handle = addon.write(arrays[dtype].from(values), code, shape, -1);
  if (dtype !== "bfloat16") return handle;
  const [rounded] = callNative("TorchPrecision", -1, { x: handle }, { precision: "bfloat16" }, () => ({
    handle,
    shape,
  }));
  addon.release(handle);
  return rounded.handle;
}

/** Runs a call on tensors of its own; the error's message, or null where it computed. */
function run(name, call) {
  writeSync(log, `${name} ${JSON.stringify(call)}\0`, 0);
  const owned = new Map();
  const released = new Map();
  const tensors = Object.values(call.inputs).flat();
  for (const tensor of tensors) if (tensor && !owned.has(tensor)) owned.set(tensor, upload(tensor));
  for (const tensor of tensors) {
    if (tensor?.handle !== "released") continue;
    released.set(tensor, owned.get(tensor));
    addon.release(owned.get(tensor));
    owned.delete(tensor);
  }
  const operand = (tensor) => {
    const handle = typeof tensor.handle === "number" ? tensor.handle : (released.get(tensor) ?? owned.get(tensor));
    return { handle, shape: tensor.view ?? tensor.shape };
  };
  try {
    for (const { handle } of callNative(name, -1, call.inputs, call.attributes, operand)) addon.release(handle);
    return null;
  } catch (error) {
    if (!(error instanceof Error)) return `not an Error: ${String(error)}`;
    return error.message;
  } finally {
    for (const handle of owned.values()) addon.release(handle);
  }
}

const named = /^([A-Za-z0-9_]+)(?:\([^)]*\))?: (\w+)(?:\[\d+\])?: /;

function checkOperation(number, signature) {
  const { name } = signature;
  const random = new Random(seed * 1_000_003 + number);
  const found = { number, valid: 0, wrong: 0, named: 0, open: 0, openRefused: 0, failures: [] };
  const declared = [...signature.inputs, ...signature.attributes].map((one) => one.name);
  const fail = (what, changed, message) => found.failures.push(`${name}: ${what}: ${message}\n  ${changed}`);
  let last = "no call that fits the declaration";
  const nextValid = () => {
    for (let draw = 0; draw < 5000; draw++) {
      const call = validCall(random, signature);
      if (call === null) continue;
      const message = run(name, call);
      if (message === null) return call;
      last = `${message}\n  ${JSON.stringify(call)}`;
    }
    return null;
  };
  while (found.wrong < calls) {
    const valid = nextValid();
    if (valid === null) {
      fail("no valid call found", last, "");
      return found;
    }
    found.valid++;
    for (let i = 0; i < callsOfOneValid && found.wrong < calls; i++) {
      const { change, call, argument } = wrongCall(random, signature, valid);
      const message = run(name, call);
      found.wrong++;
      const [, operation, argumentNamed] = named.exec(message ?? "") ?? [];
      const isNamed = argument === null ? declared.includes(argumentNamed) : argumentNamed === argument;
      if (operation === name && isNamed) found.named++;
      else {
        fail(`${change} of ${argument ?? "an argument"}`, JSON.stringify(call), message ?? "was accepted");
      }
      if (i % 4 !== 0) continue;
      const open = openCall(random, signature, valid);
      if (open === undefined) continue;
      const answer = run(name, open.call);
      found.open++;
      if (answer === null) continue;
      found.openRefused++;
      if (!answer.startsWith(name)) fail(`open: ${open.change}`, JSON.stringify(open.call), answer);
    }
  }
  return found;
}

for (const [number, signature] of nativeSignatures().entries()) {
  if (number < first || !signature.name.includes(only)) continue;
  const { tensors } = addon.stats();
  const found = checkOperation(number, signature);
  const left = addon.stats().tensors - tensors;
  if (left !== 0) found.failures.push(`${signature.name}: ${left} tensors were not freed`);
  process.send(found);
}
process.send({ done: true }, () => process.disconnect());

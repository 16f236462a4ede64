import { cp, mkdir, mkdtemp, symlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { packageRoot } from "../../src/cli/packageRoot.js";

const copied = ["src", "assembly", "scripts", "test", "bin", "packages/tfjs-backend-torch/src"];
const files = [
  "package.json",
  "package-lock.json",
  "tsconfig.json",
  "vitest.config.ts",
  "packages/tfjs-backend-torch/tsconfig.json",
];
const linked = ["node_modules", "data", "vocab", "eval", "pipelines"];

/** A copy of this checkout's sources, with nothing built, in a new temporary folder: to edit and build there. */
export async function copyCheckout(): Promise<string> {
  const copy = await mkdtemp(join(tmpdir(), "mswitch-checkout-"));
  await mkdir(join(copy, "packages/tfjs-backend-torch"), { recursive: true });
  for (const path of [...copied, ...files]) await cp(join(packageRoot, path), join(copy, path), { recursive: true });
  for (const path of linked) await symlink(join(packageRoot, path), join(copy, path));
  return copy;
}

import { existsSync, readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { parse } from "yaml";
import * as z from "zod";
import { packageRoot } from "../../base/builtCode.js";
import { messageOf, usageError } from "../../base/errors.js";
import { nearest } from "../../base/nearest.js";

const positive = z.number().positive();

/** A device and how it is connected. Rates are peaks of one device, one direction. */
export const hardwareSchema = z.strictObject({
  name: z.string().min(1),
  memoryGiB: positive,
  teraflops: positive.describe("bfloat16 products, 10^12 operations a second."),
  memoryGBps: positive.describe("The device's own memory, 10^9 bytes a second."),
  devicesPerNode: z.int().positive(),
  nodeGBps: positive.describe("To another device of the node."),
  networkGBps: positive.describe("To a device of another node."),
  latencyMicroseconds: z.number().nonnegative().default(0).describe("Of a collective, before its first byte."),
  overlap: z
    .boolean()
    .default(true)
    .describe(
      "Whether collectives run beside products; false where the same processor moves the bytes, as Gloo on CPUs.",
    ),
  efficiency: positive.max(1).describe("Share of `teraflops` that a training step's products reach."),
});
export type Hardware = z.infer<typeof hardwareSchema>;

const folder = fileURLToPath(new URL("data/hardware/", packageRoot));

/** Names of the devices that ship with the package. */
export function hardwareNames(): string[] {
  return readdirSync(folder)
    .filter((name) => name.endsWith(".yaml"))
    .map((name) => name.replace(/\.yaml$/, ""))
    .sort();
}

/**
 * A device by the name of its file in `data/hardware`, or by the path of a YAML file like those.
 *
 * @throws usageError where there is none, or it is not one
 */
export function readHardware(nameOrFile: string): Hardware {
  const names = hardwareNames();
  const file = names.includes(nameOrFile) ? `${folder}${nameOrFile}.yaml` : nameOrFile;
  if (!existsSync(file)) {
    const near = nearest(nameOrFile, names);
    throw usageError(`unknown hardware "${nameOrFile}"`, {
      code: "unknown-hardware",
      why: `there are ${names.join(", ")}, or the path of a YAML file`,
      ...(near ? { hint: near } : {}),
    });
  }
  let tree: unknown;
  try {
    tree = parse(readFileSync(file, "utf8"));
  } catch (error) {
    throw usageError("the hardware file is not YAML", {
      code: "hardware-not-readable",
      where: file,
      why: messageOf(error),
    });
  }
  const result = hardwareSchema.safeParse(tree);
  if (result.success) return result.data;
  const why = result.error.issues.map(({ path, message }) => `${path.join(".") || "it"}: ${message}`).join("; ");
  throw usageError("this file describes no hardware", { code: "hardware-not-readable", where: file, why });
}

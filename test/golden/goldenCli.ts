import { parseArgs } from "node:util";
import { loadBackend } from "../../src/backends/loadBackend.js";
import { exitCode, MswitchError, messageOf, usageError } from "../../src/base/errors.js";
import { modelConfigSchema } from "../../src/model/config.js";
import { goldenCases } from "./golden.js";

const usage = `npm run golden -- DIR [--backend NAME] [--precision float32|selective|bfloat16]
holds this model to the cases in DIR, which were computed by Transformers: logits, losses, gradients and optimizer steps
`;

async function main(): Promise<number> {
  const { positionals, values } = parseArgs({
    allowPositionals: true,
    options: {
      backend: { type: "string" },
      precision: { type: "string", default: "float32" },
      help: { type: "boolean", short: "h" },
    },
  });
  if (values.help) {
    process.stdout.write(usage);
    return exitCode.done;
  }
  const precision = modelConfigSchema.shape.precision.safeParse(values.precision);
  if (!precision.success) {
    throw usageError(`unknown precision "${values.precision}"`, {
      code: "flag-invalid",
      hint: "--precision float32, selective or bfloat16",
    });
  }
  if (positionals.length !== 1)
    throw usageError("one folder of golden cases is needed", { code: "flag-invalid", hint: "npm run golden -- DIR" });
  const backend = await loadBackend(values.backend);
  process.stderr.write(`backend ${backend.name}: ${backend.description}\n`);
  let cases = 0;
  let failed = 0;
  for await (const { name, differences, passed } of goldenCases(positionals[0], precision.data)) {
    cases++;
    if (!passed) failed++;
    const parts = differences.map(
      ({ kind, tensor, relative, limit }) =>
        `${kind} ${relative.toExponential(1)}${relative <= limit ? "" : ` > ${limit} in ${tensor}`}`,
    );
    process.stdout.write(`${passed ? "pass" : "FAIL"}  ${name}: ${parts.join(", ")}\n`);
  }
  if (cases === 0) throw new MswitchError("no golden case there", { code: "golden-unreadable", where: positionals[0] });
  process.stdout.write(`${cases - failed} of ${cases} cases pass\n`);
  return failed === 0 ? exitCode.done : exitCode.failed;
}

try {
  process.exitCode = await main();
} catch (error) {
  process.stderr.write(`error: ${messageOf(error)}\n`);
  process.exitCode = error instanceof MswitchError ? error.exitCode : exitCode.failed;
}

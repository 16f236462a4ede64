#!/usr/bin/env node
import { existsSync, readFileSync } from "node:fs";

const args = process.argv.slice(2);
const rootHelp = new URL("../dist/help.txt", import.meta.url);
const wantsRootHelp = args.length === 0 || (args.length === 1 && (args[0] === "--help" || args[0] === "help"));

// oclif takes longer to load than Node itself; the root help is what `npm run build` saw it print.
if (wantsRootHelp && existsSync(rootHelp)) {
  process.stdout.write(readFileSync(rootHelp));
} else {
  const { execute } = await import("@oclif/core");
  await execute({ dir: import.meta.url });
}

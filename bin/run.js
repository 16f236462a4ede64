#!/usr/bin/env node
import { existsSync, readFileSync } from "node:fs";
import module from "node:module";
import { tmpdir, userInfo } from "node:os";

const args = process.argv.slice(2);
const rootHelp = new URL("../dist/help.txt", import.meta.url);
const wantsRootHelp = args.length === 0 || (args.length === 1 && ["--help", "-h", "help"].includes(args[0]));

// oclif takes longer to load than Node itself; the root help is what `npm run build` saw it print.
if (wantsRootHelp && existsSync(rootHelp)) {
  process.stdout.write(readFileSync(rootHelp));
} else {
  // Node 22.1 and later keep what they compiled, in the directory for temporary files: a command starts in two thirds of the time.
  module.enableCompileCache?.();
  // oclif asks for a home directory and a shell, which a user id without an entry in passwd does not have.
  try {
    userInfo();
  } catch {
    process.env.HOME ??= tmpdir();
    process.env.SHELL ??= "/bin/sh";
  }
  const { execute } = await import("@oclif/core");
  await execute({ dir: import.meta.url });
}

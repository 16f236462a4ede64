#!/usr/bin/env node
// npx @mswitch/tfjs-backend-torch build: what a package that depends on this one builds the addon with.
import { runBuild } from "./buildNative.mjs";

const usage = `Usage: npx @mswitch/tfjs-backend-torch build [--force] [--if-possible]

Builds the addon of the torch backend against the libtorch that it finds: LIBTORCH, the Python of MSWITCH_PYTHON, or python3's
package torch. Needs a C++20 compiler; takes a few minutes, once. Does nothing where the addon is up to date.
  --force        builds in any case
  --if-possible  ends with 0 where libtorch or a compiler is missing`;

const [command, ...options] = process.argv.slice(2);
if (command === "--help" || command === "-h" || command === "help") console.log(usage);
else if (command === "build" && options.every((option) => ["--force", "--if-possible"].includes(option)))
  await runBuild(options);
else {
  console.error(usage);
  process.exitCode = 2;
}

// After the compiler: writes oclif.manifest.json, so that a command starts without loading the others, and the root help.
import { execFileSync } from "node:child_process";
import { rmSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { Plugin } from "@oclif/core";

const root = fileURLToPath(new URL("..", import.meta.url));
const manifest = new URL("../oclif.manifest.json", import.meta.url);
const help = new URL("../dist/help.txt", import.meta.url);
rmSync(manifest, { force: true });
rmSync(help, { force: true });
const plugin = new Plugin({ root, type: "core", ignoreManifest: true, errorOnManifestCreate: true });
await plugin.load();
writeFileSync(manifest, `${JSON.stringify(plugin.manifest, null, 2)}\n`);
writeFileSync(help, execFileSync(process.execPath, [`${root}bin/run.js`, "--help"]));

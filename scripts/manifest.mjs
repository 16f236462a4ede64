// Writes oclif.manifest.json, so that `mswitch --help` need not load every command.
import { existsSync, rmSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { Plugin } from "@oclif/core";

const root = fileURLToPath(new URL("..", import.meta.url));
const file = new URL("../oclif.manifest.json", import.meta.url);
if (existsSync(file)) rmSync(file);
const plugin = new Plugin({ root, type: "core", ignoreManifest: true, errorOnManifestCreate: true });
await plugin.load();
writeFileSync(file, `${JSON.stringify(plugin.manifest, null, 2)}\n`);

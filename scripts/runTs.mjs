// Runs a TypeScript program that is no part of the package: node scripts/runTs.mjs FILE.ts [ARGUMENTS]
// It becomes one file in dist/tools; what it takes from src comes from dist, so build first.
import { basename, resolve, sep } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { build } from "rolldown";

const root = fileURLToPath(new URL("..", import.meta.url));
const src = resolve(root, "src") + sep;

/** Bundles a program into dist/tools and gives the path of the result. */
export async function bundleTool(file) {
  const out = resolve(root, "dist", "tools", basename(file).replace(/\.ts$/, ".js"));
  await build({
    input: resolve(file),
    platform: "node",
    external: (id) => /^[@a-z]/.test(id),
    plugins: [
      {
        name: "compiled",
        resolveId(id, importer) {
          const path = id.startsWith(".") && importer ? resolve(importer, "..", id) : id;
          return path.startsWith(src)
            ? { id: `../${path.slice(src.length).split(sep).join("/")}`, external: true }
            : null;
        },
      },
    ],
    output: { file: out, format: "es" },
    logLevel: "warn",
  });
  return out;
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  const [file, ...args] = process.argv.slice(2);
  const tool = await bundleTool(file);
  process.argv.splice(1, process.argv.length, tool, ...args);
  await import(pathToFileURL(tool).href);
}

import { dirname, join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";

/** The package's own folder, from `src` and from `dist` alike. */
export const packageRoot = fileURLToPath(new URL("../..", import.meta.url));

/** A file that ships with the package. */
export function shipped(...path: string[]): string {
  return join(packageRoot, ...path);
}

/** A JSON Schema that ships with the package, as a file at `from` names it: relative where both lie below one folder of the user's. */
export function schemaPath(name: "run" | "study", from: string): string {
  const path = shipped("schemas", `${name}.schema.json`);
  const near = relative(dirname(resolve(from)), path);
  return near.startsWith(join("..", "..")) ? path : near;
}

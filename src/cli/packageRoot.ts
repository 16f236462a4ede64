import { join } from "node:path";
import { fileURLToPath } from "node:url";

/** The package's own folder, from `src` and from `dist` alike. */
export const packageRoot = fileURLToPath(new URL("../..", import.meta.url));

/** A file that ships with the package. */
export function shipped(...path: string[]): string {
  return join(packageRoot, ...path);
}

import { readFileSync } from "node:fs";
import { parseArgs } from "node:util";

/**
 * The flags of a script, by Node's `parseArgs`: `--help` prints the comment at the script's top, and a flag that it does not know ends
 * it with a line and code 2.
 *
 * @param url the script's own, `import.meta.url`
 */
export function parseFlags(url, { options, ...config }) {
  let parsed;
  try {
    parsed = parseArgs({ ...config, options: { ...options, help: { type: "boolean", short: "h" } } });
  } catch (error) {
    process.stderr.write(`error: ${error.message}\n--help says which flags there are\n`);
    process.exit(2);
  }
  if (!parsed.values.help) return parsed;
  const [comment] = /^(\/\/.*\n)+/.exec(readFileSync(new URL(url), "utf8"));
  process.stdout.write(comment.replace(/^\/\/ ?/gm, ""));
  process.exit(0);
}

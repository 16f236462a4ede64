// docs/errors.md: the codes of all errors for users with what each says, from the sources. `npm run docs` writes it.
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));

/** The page's text. */
export function errorsPage() {
  const codes = new Map();
  for (const file of readdirSync(join(root, "src"), { recursive: true }).sort()) {
    if (!/(?<!\.test)\.ts$/.test(file)) continue;
    const text = readFileSync(join(root, "src", file), "utf8");
    // A call ends where its code stands: the message comes before it, and the next call after it.
    const calls =
      /\b(?:MswitchError|usageError)\(\s*((?:(?!MswitchError\(|usageError\()[\s\S]){0,800}?)\bcode: ("[a-z-]+"(?: : "[a-z-]+")?|[^,]*\? "[a-z-]+" : "[a-z-]+")/g;
    for (const [, before, expression] of text.matchAll(calls)) {
      const message = /^(?:"([^"]*)"|`((?:[^`\\]|\\.)*)`)/.exec(before);
      const said = (message?.[1] ?? message?.[2] ?? "").replaceAll(/\$\{(?:[^{}]|\{[^{}]*\})*\}/g, "…");
      for (const [, code] of expression.matchAll(/"([a-z-]+)"/g)) {
        if (!codes.has(code)) codes.set(code, new Set());
        if (said) codes.get(code).add(said.replaceAll("|", "\\|"));
      }
    }
  }
  const rows = [...codes].sort(([a], [b]) => (a < b ? -1 : 1));
  return [
    "# Errors",
    "",
    "An error for users says where, what and why, then its code in brackets, then what to try. `--json` gives the same as one document:",
    '`{"error": {"code", "message", "what", "where", "why", "hint"}}`. The code stays the same from version to version; sentences do not. `npm run',
    "docs` writes this page.",
    "",
    "An error without a code of this table, or with `internal`, is a fault of mswitch: please report it.",
    "",
    "| Code | What is said |",
    "|---|---|",
    ...rows.map(([code, said]) => `| \`${code}\` | ${[...said].join("; ") || "as the case is"} |`),
    "",
  ].join("\n");
}

if (import.meta.url === pathToFileURL(resolve(process.argv[1])).href)
  writeFileSync(join(root, "docs/errors.md"), errorsPage());

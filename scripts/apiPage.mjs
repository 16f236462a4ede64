// docs/api.md: what the package exports, with its docstrings, from the declarations in dist. `npm run docs` after a build writes it.
import { readFileSync, writeFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const { exports } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));

/** The exported declarations of a .d.ts file, in its order: {name, doc, code}; and what it imports or passes on: name → file. */
function readDeclarations(file) {
  const text = readFileSync(file, "utf8");
  const declarations = [];
  const imports = new Map();
  for (const [, names, from] of text.matchAll(/^(?:import|export) (?:type )?\{([^}]*)\} from "(\.[^"]+)";/gm)) {
    for (const name of names.split(",").map((part) => part.replace("type ", "").trim().split(" as ")[0])) {
      imports.set(name, resolve(dirname(file), from.replace(/\.js$/, ".d.ts")));
    }
  }
  // The compiler starts every top-level declaration at the line's start and ends it with a line that starts with } or ends with ;
  const pattern =
    /^(?:\/\*\*((?:(?!\*\/)[\s\S])*)\*\/\n)?export (?:declare )?((?:abstract class|class|interface|function|const|type) (\w+)(?:[^\n]*\{\n[\s\S]*?^\}(?!.*\{$)[^\n]*|[^\n]*;)$)/gm;
  for (const [, doc = "", code, name] of text.matchAll(pattern)) declarations.push({ name, doc: plain(doc), code });
  return { declarations, imports };
}

/** A docstring without its asterisks; @-tags as lines of their own. */
function plain(doc) {
  const lines = doc.split("\n").map((line) => line.replace(/^\s*\* ?/, "").trim());
  return lines
    .join("\n")
    .trim()
    .replaceAll(/\{@link (\w+)\}/g, "`$1`")
    .replace(/\n+(?=@(?:param|returns|throws) )/, "\n\n")
    .replaceAll(/^@(param|returns|throws) /gm, "- *$1* ");
}

/** The page's text. */
export function apiPage() {
  const lines = [
    "# The package's interface",
    "",
    'What `import … from "mswitch/…"` gives, from the docstrings of the sources: `npm run docs` writes this page. Errors are `MswitchError`s with',
    "a stable `code`.",
  ];
  const described = new Map();
  for (const [path, { types }] of Object.entries(exports)) {
    if (!types) continue;
    lines.push("", `## mswitch${path.slice(1)}`);
    const queue = [{ file: join(root, types), only: undefined }];
    while (queue.length > 0) {
      const { file, only } = queue.shift();
      const { declarations, imports } = readDeclarations(file);
      for (const { name, doc, code } of declarations) {
        if ((only && !only.has(name)) || described.has(`${file} ${name}`)) continue;
        described.set(`${file} ${name}`, path);
        const where = only
          ? ` (type, \`${relative(root, file)
              .replace(/^dist/, "src")
              .replace(/\.d\.ts$/, ".ts")}\`)`
          : "";
        lines.push("", `### ${name}${where}`, "", ...(doc ? [doc, ""] : []), "```ts", code, "```");
        // Types that a signature names, of this file and of others.
        const words = new Set(code.match(/\b[A-Z]\w+\b/g) ?? []);
        for (const word of words) {
          if (imports.has(word)) queue.push({ file: imports.get(word), only: new Set([word]) });
          else if (only && declarations.some((other) => other.name === word))
            queue.push({ file, only: new Set([word]) });
        }
      }
    }
  }
  return `${lines.join("\n")}\n`;
}

if (import.meta.url === pathToFileURL(resolve(process.argv[1])).href)
  writeFileSync(join(root, "docs/api.md"), apiPage());

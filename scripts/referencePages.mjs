// docs/commands.md and docs/run-file.md: every command with its flags, every key of a run's file, from oclif.manifest.json and the
// schemas. `npm run docs` after a build writes them.
import { readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { fileSchemas } from "./schemas.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));

/** docs/commands.md. */
export function commandsPage() {
  const { commands } = JSON.parse(readFileSync(join(root, "oclif.manifest.json"), "utf8"));
  const shown = Object.values(commands).filter(({ hidden }) => !hidden);
  const lines = [
    "# Commands",
    "",
    "Every command and flag, as `mswitch COMMAND --help` explains them. `npm run docs` writes it.",
    "",
    "Every command but `completion` and `help` takes `--json`: its result, or its error, is then one JSON document on stdout. Exit codes: 0 done,",
    "1 failed, 2 wrong use or configuration, 3 done but some input was set aside, 130 interrupted.",
  ];
  for (const { id, summary, description, args, flags, examples = [] } of shown) {
    const name = id.replaceAll(":", " ");
    const usage = Object.values(args).map(({ name, required }) =>
      required ? name.toUpperCase() : `[${name.toUpperCase()}]`,
    );
    lines.push("", `## mswitch ${name}`, "", summary, "", ...(description ? [plain(description, name), ""] : []));
    lines.push("```", `mswitch ${[name, ...usage].join(" ")} [FLAGS]`, "```", "", "| | |", "|---|---|");
    for (const arg of Object.values(args)) lines.push(row(arg.name.toUpperCase(), arg));
    for (const flag of Object.values(flags)) {
      if (flag.name !== "json") lines.push(row(`--${flag.name}${valueName(flag)}`, flag));
    }
    const commands = examples.map((example) => plain(typeof example === "string" ? example : example.command, name));
    if (commands.length > 0) lines.push("", "```", ...commands.map((command) => command.replace(/^\$ /, "")), "```");
  }
  return `${lines.join("\n")}\n`;
}

function row(name, { description = "", summary, required, options, default: preset, multiple, exclusive }) {
  const notes = [
    options && `one of ${options.map((option) => `\`${option}\``).join(", ")}`,
    required && "required",
    multiple && "may be given more than once",
    exclusive?.length > 0 && `not with ${exclusive.map((flag) => `--${flag}`).join(", ")}`,
    isTold(preset) && `default \`${preset}\``,
  ].filter(Boolean);
  const text = (summary ?? description).trim();
  return `| \`${name}\` | ${cell(notes.length > 0 ? `${text} (${notes.join("; ")})` : text)} |`;
}

const isTold = (preset) =>
  preset !== undefined && preset !== "" && !(Array.isArray(preset) && preset.length === 0) && preset !== false;
const valueName = ({ type, helpValue, options }) =>
  type === "boolean" ? "" : ` ${helpValue ?? (options ? "NAME" : "VALUE")}`;
const plain = (text, name) => text.replaceAll("<%= config.bin %>", "mswitch").replaceAll("<%= command.id %>", name);
const cell = (text) => text.replaceAll("|", "\\|").replaceAll("\n", " ");

/** docs/run-file.md. */
export async function runFilePage() {
  const schemas = Object.fromEntries((await fileSchemas()).map(({ name, schema }) => [name, schema]));
  const table = (schema) => ["| Key | Values | Default | |", "|---|---|---|---|", ...rows(schema, "")];
  return `${[
    "# Keys of run, study and hardware files",
    "",
    "Every key of the files that mswitch reads. The pages [training](training.md), [the model](model.md), [studies](studies.md) and [scale](scale.md) explain them.",
    "`npm run docs` writes this page and `schemas/` from the program's own schemas. An editor with a YAML language server completes and checks a file whose",
    "first line names its schema:",
    "",
    "```yaml",
    "# yaml-language-server: $schema=../node_modules/mswitch/schemas/run.schema.json",
    "```",
    "",
    "Keys without a default may be left out unless they are marked required.",
    "",
    "## Run",
    "",
    ...table(schemas.run),
    "",
    "## Study",
    "",
    ...table(schemas.study),
    "",
    "## Hardware",
    "",
    ...table(schemas.hardware),
  ].join("\n")}\n`;
}

/** A line for each key of an object's schema, keys of objects within it below. */
function rows(schema, prefix) {
  const alternatives = schema.oneOf ?? schema.anyOf ?? [];
  if (alternatives.some(isObject)) {
    return alternatives.filter(isObject).flatMap((branch) => {
      const fixed = Object.entries(branch.properties).find(([, { const: value }]) => value !== undefined);
      const given = fixed ? `${prefix}${fixed[0]}: ${fixed[1].const}` : "";
      const inner = {
        ...branch,
        properties: Object.fromEntries(Object.entries(branch.properties).filter(([key]) => key !== fixed?.[0])),
      };
      const head = fixed ? [`| \`${given}\` | | | ${cell(branch.description ?? "")} |`] : [];
      return [...head, ...rows(inner, prefix)];
    });
  }
  return Object.entries(schema.properties ?? {}).flatMap(([key, value]) => {
    const path = `${prefix}${key}`;
    const required = schema.required?.includes(key) ? "required" : "";
    const preset =
      value.default === undefined || typeof value.default === "object"
        ? required
        : `\`${JSON.stringify(value.default)}\``;
    const line = `| \`${path}\` | ${cell(typeOf(value))} | ${preset} | ${cell(value.description ?? "")} |`;
    return [line, ...rows(value, `${path}.`)];
  });
}

const isObject = (schema) => schema.properties !== undefined;

function typeOf(schema) {
  if (schema.const !== undefined) return `\`${schema.const}\``;
  if (schema.enum) return schema.enum.map((value) => `\`${value}\``).join(", ");
  const alternatives = schema.oneOf ?? schema.anyOf;
  if (alternatives) return [...new Set(alternatives.map(typeOf))].join(" or ");
  if (schema.type === "array") return `list of ${typeOf(schema.items)}`;
  if (schema.type === "null") return "null";
  if (schema.type === "object") return "section";
  const { type = "any value", minimum, exclusiveMinimum, maximum, exclusiveMaximum } = schema;
  const isBound = (value) => value !== undefined && Math.abs(value) < Number.MAX_SAFE_INTEGER;
  const bounds = [
    isBound(minimum) && `≥ ${minimum}`,
    isBound(exclusiveMinimum) && `> ${exclusiveMinimum}`,
    isBound(maximum) && `≤ ${maximum}`,
    isBound(exclusiveMaximum) && `< ${exclusiveMaximum}`,
  ].filter(Boolean);
  return [type, ...bounds].join(" ");
}

if (import.meta.url === pathToFileURL(resolve(process.argv[1])).href) {
  writeFileSync(join(root, "docs/commands.md"), commandsPage());
  writeFileSync(join(root, "docs/run-file.md"), await runFilePage());
}

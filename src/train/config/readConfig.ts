import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { type Document, type ErrorCode, isMap, isPair, isScalar, LineCounter, parse, parseDocument } from "yaml";
import * as z from "zod";
import { packageRoot } from "../../base/builtCode.js";
import { messageOf, usageError } from "../../base/errors.js";
import { nearest } from "../../base/nearest.js";

/** A configuration is a page of text; anything larger is another file given by mistake. */
const maxBytes = 1 << 20;

/** What the YAML parser tells a program, for a user. */
const yamlFaults: Partial<Record<ErrorCode, string>> = {
  MULTIPLE_DOCS: "a second document begins here; a configuration is one: remove what is not meant, and the line ---",
};

type Path = readonly PropertyKey[];

interface Fault {
  where: string;
  what: string;
}

/** A value given on the command line. */
export interface ConfigOverride {
  /** The flag as it was given, for errors. */
  flag: string;
  path: string[];
  value: unknown;
}

/**
 * Reads a YAML file against a zod schema. Overrides take the place of what the file says and go through the same checks.
 *
 * @param fillIn puts in defaults that depend on what the file and the overrides say
 * @returns the parsed value with the schema's defaults filled in
 * @throws usageError naming every fault at once, each at `file:line:column` or at its flag, unknown keys with the nearest known one
 */
export async function readConfig<T>(
  schema: z.ZodType<T>,
  file: string,
  overrides: readonly ConfigOverride[] = [],
  fillIn: (value: Record<string, unknown>) => void = () => {},
): Promise<T> {
  const text = await readText(file);
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false });
  const at = (offset: number): string => {
    const { line, col } = lines.linePos(offset);
    return `${file}:${line}:${col}`;
  };
  refuse(document.errors.map(({ code, pos, message }) => ({ where: at(pos[0]), what: yamlFaults[code] ?? message })));

  const value = toPlain(document, file);
  const faults = overrides.flatMap((override) => applyOverride(value, override));
  fillIn(value);
  const parsed = schema.safeParse(value);
  if (!parsed.success) {
    const known = z.toJSONSchema(schema, { io: "input", unrepresentable: "any" });
    const place = (path: Path): string =>
      flagOf(overrides, path) ?? at(offsetOf(document, path) ?? document.contents?.range?.[0] ?? 0);
    faults.push(...parsed.error.issues.flatMap((issue) => faultsOf(issue, { value, known, place })));
  }
  refuse(faults);
  return parsed.data as T;
}

/** The package's own files are there under their names from any folder: `pipelines/demo-dense.yaml`. */
function found(file: string): string | URL {
  const shipped = new URL(file, packageRoot);
  return file.startsWith("pipelines/") && !existsSync(file) && existsSync(shipped) ? shipped : file;
}

async function readText(file: string): Promise<string> {
  let bytes: Uint8Array;
  try {
    bytes = await readFile(found(file));
  } catch (error) {
    throw usageError("the configuration cannot be read", {
      code: "config-unreadable",
      where: file,
      why: messageOf(error),
      cause: error,
    });
  }
  if (bytes.length > maxBytes) {
    throw usageError("this is no configuration", {
      code: "config-invalid",
      where: file,
      why: `it has ${bytes.length} bytes, above ${maxBytes}`,
    });
  }
  return new TextDecoder().decode(bytes);
}

function toPlain(document: Document, file: string): Record<string, unknown> {
  let value: unknown;
  try {
    value = document.toJS({ maxAliasCount: 100 });
  } catch (error) {
    throw usageError("the YAML cannot be expanded", { code: "config-invalid", where: file, why: messageOf(error) });
  }
  if (!isRecord(value)) {
    throw usageError("the configuration is not a mapping of keys to values", {
      code: "config-invalid",
      where: `${file}:1:1`,
    });
  }
  return value;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** The override that `--set path.to.key=value` asks for; the value is YAML. */
export function parseSet(text: string): ConfigOverride {
  const flag = `--set ${text}`;
  const equals = text.indexOf("=");
  const path = text.slice(0, equals).split(".");
  if (equals < 1 || path.includes("")) {
    throw usageError("an override is written path=value", {
      code: "override-invalid",
      where: flag,
      hint: "--set stream.batchSize=32",
    });
  }
  try {
    return { flag, path, value: parse(text.slice(equals + 1)) };
  } catch (error) {
    throw usageError("the value of an override is not YAML", {
      code: "override-invalid",
      where: flag,
      why: messageOf(error),
    });
  }
}

/** Puts an override in its place, making the mappings on the way; reports a place that is no mapping. */
function applyOverride(root: Record<string, unknown>, { flag, path, value }: ConfigOverride): Fault[] {
  let target = root;
  for (const [depth, key] of path.slice(0, -1).entries()) {
    if (!Object.hasOwn(target, key) || target[key] === null) define(target, key, {});
    const next = target[key];
    if (!isRecord(next)) return [{ where: flag, what: `${path.slice(0, depth + 1).join(".")} has no keys` }];
    target = next;
  }
  define(target, path[path.length - 1], value);
  return [];
}

/** Plain assignment would let `__proto__` through. */
function define(target: Record<string, unknown>, key: string, value: unknown): void {
  Object.defineProperty(target, key, { value, enumerable: true, configurable: true, writable: true });
}

/** The flag that gave the value at `path`, the last one where several did. */
function flagOf(overrides: readonly ConfigOverride[], path: Path): string | undefined {
  return overrides.findLast((override) => override.path.every((key, i) => i >= path.length || key === path[i]))?.flag;
}

/** Where in the text the value at `path` begins: a key at fault is named where it stands, an absent one where it should stand. */
function offsetOf(document: Document, path: Path): number | undefined {
  const parent = path.length > 1 ? document.getIn(path.slice(0, -1), true) : document.contents;
  if (isMap(parent)) {
    const pair = parent.items.find((item) => isPair(item) && isScalar(item.key) && item.key.value === path.at(-1));
    const key = pair?.key;
    if (isScalar(key)) return key.range?.[0];
  }
  const node = document.getIn(path, true) as { range?: [number, number, number] } | undefined;
  return node?.range?.[0] ?? (path.length > 0 ? offsetOf(document, path.slice(0, -1)) : undefined);
}

interface FaultContext {
  value: unknown;
  known: JsonSchema;
  place(path: Path): string;
}

function faultsOf(issue: z.core.$ZodIssue, context: FaultContext): Fault[] {
  const path = issue.path;
  const name = path.join(".") || "the configuration";
  if (issue.code === "unrecognized_keys") {
    const known = knownKeys(context.known, path);
    return issue.keys.map((key) => ({
      where: context.place([...path, key]),
      what: `unknown key ${[...path, key].join(".")}${suggestion(key, known)}`,
    }));
  }
  if (issue.code === "invalid_union" && issue.errors.length > 0) {
    return likeliestBranch(issue.errors, valueAt(context.value, path)).flatMap((inner) =>
      faultsOf({ ...inner, path: [...path, ...inner.path] } as z.core.$ZodIssue, context),
    );
  }
  const given = valueAt(context.value, path);
  const where = context.place(path);
  if (given === undefined) return [{ where, what: `${name} is missing` }];
  const options =
    issue.code === "invalid_value" ? issue.values : issue.code === "invalid_union" ? unionOptions(issue) : [];
  // A discriminator that may be left out is known as undefined too.
  const expected = issue.message.replace(/^Invalid (input|option): /, "").replace(" | 'undefined'", "");
  const told = `${name} is ${JSON.stringify(given)}: ${expected}`;
  return [{ where, what: typeof given === "string" ? told + suggestion(given, options.map(String)) : told }];
}

/** The values a discriminated union knows for its discriminator. */
function unionOptions(issue: z.core.$ZodIssueInvalidUnion): unknown[] {
  return "options" in issue && Array.isArray(issue.options) ? issue.options : [];
}

/** Of a union's alternatives the one that was meant: of the value's own kind, with the fewest faults. */
function likeliestBranch(branches: z.core.$ZodIssue[][], value: unknown): z.core.$ZodIssue[] {
  const weight = (issues: z.core.$ZodIssue[]): number =>
    issues.reduce((sum, issue) => {
      if (issue.code === "unrecognized_keys") return sum + issue.keys.length;
      const otherKind = issue.code === "invalid_type" && issue.path.length === 0;
      return sum + (otherKind || (isRecord(value) && issue.path.length === 0) ? 100 : 1);
    }, 0);
  return branches.reduce((best, branch) => (weight(branch) < weight(best) ? branch : best));
}

function suggestion(word: string, known: Iterable<string>): string {
  const near = nearest(word, known);
  return near === undefined ? "" : ` (did you mean ${near}?)`;
}

function valueAt(value: unknown, path: Path): unknown {
  return path.reduce<unknown>(
    (at, key) => (at === null || at === undefined ? undefined : Reflect.get(Object(at), key)),
    value,
  );
}

type JsonSchema = z.core.JSONSchema.BaseSchema;

/** The keys that the schema knows at `path`, over all alternatives. */
function knownKeys(schema: JsonSchema, path: Path): string[] {
  const alternatives = [...(schema.anyOf ?? []), ...(schema.oneOf ?? []), ...(schema.allOf ?? [])] as JsonSchema[];
  const inner = alternatives.flatMap((alternative) => knownKeys(alternative, path));
  const properties = schema.properties ?? {};
  if (path.length === 0) return [...Object.keys(properties), ...inner];
  const next = properties[String(path[0])] as JsonSchema | undefined;
  return [...(next ? knownKeys(next, path.slice(1)) : []), ...inner];
}

/** Throws all faults as one error. */
function refuse(faults: Fault[]): void {
  if (faults.length === 0) return;
  if (faults.length === 1) throw usageError(faults[0].what, { code: "config-invalid", where: faults[0].where });
  throw usageError(
    [`${faults.length} faults in the configuration`, ...faults.map(({ where, what }) => `${where}: ${what}`)].join(
      "\n  ",
    ),
    { code: "config-invalid" },
  );
}

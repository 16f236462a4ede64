// Builds what changed: dist/ (JavaScript, WebAssembly, bundles, the report's page), packages/*/dist and oclif.manifest.json.
//   node scripts/build.mjs           once; --watch: again after every change
// Each step keeps the hashes of the files it read and wrote in dist/.build and is left out while they are the same. Steps that do not
// need one another run at the same time. `npm test` and `npx vitest` build through test/globalSetup.ts.
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, watch, writeFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { bundle, bundledModules } from "./bundle.mjs";
import { buildPages } from "./reportPage.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));
const torch = "packages/tfjs-backend-torch";
const state = "dist/.build";

/** Files below a folder, as paths from the root. */
function filesUnder(folder, pattern) {
  return readdirSync(join(root, folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && pattern.test(entry.name))
    .map((entry) => relative(root, join(entry.parentPath, entry.name)))
    .sort();
}

const isSource = (path) => !/\.(test|d)\.ts$/.test(path) && !path.startsWith("src/report/page/");
const sources = (folder) => filesUnder(folder, /\.ts$/).filter(isSource);

function hash(path) {
  const file = join(root, path);
  return existsSync(file) ? createHash("sha256").update(readFileSync(file)).digest("hex") : "absent";
}
const hashes = (paths) => Object.fromEntries([...new Set(paths)].map((path) => [path, hash(path)]));

/** Runs a program of node_modules; what it prints is the error's message where it fails. */
function run(program, ...args) {
  return new Promise((done, fail) => {
    const child = spawn(process.execPath, [join(root, program), ...args], { cwd: root });
    let output = "";
    child.stdout.on("data", (chunk) => (output += chunk));
    child.stderr.on("data", (chunk) => (output += chunk));
    child.on("error", fail);
    child.on("close", (code) =>
      code === 0 ? done() : fail(new Error(output.trim() || `${program}: exit code ${code}`)),
    );
  });
}

/**
 * The type checker and compiler on one project. It keeps what it knows in a .tsbuildinfo, and with it would not write again what was
 * removed: without its output it starts anew. JavaScript whose source is gone is removed.
 */
async function compile(project, from, to, replaced) {
  const info = join(root, `${state}/${project.replaceAll("/", "-")}.tsbuildinfo`);
  const outputs = () => sources(from).flatMap((path) => compiledFiles(path, from, to));
  if (!outputs().every((path) => existsSync(join(root, path)))) rmSync(info, { force: true });
  await run("node_modules/typescript/bin/tsc", "-p", project, "--incremental", "--tsBuildInfoFile", info);
  const wanted = new Set(outputs());
  const isCompiled = (path) => from !== "src" || (path.split("/").length > 2 && !path.startsWith("dist/tools/"));
  for (const path of filesUnder(to, /\.(js|d\.ts|js\.map)$/).filter(isCompiled)) {
    if (!wanted.has(path)) rmSync(join(root, path));
  }
  return [...wanted].filter((path) => !replaced.has(path));
}

function compiledFiles(path, from, to) {
  const base = path.replace(from, to).replace(/\.ts$/, "");
  return [`${base}.js`, `${base}.d.ts`];
}

/** What modules of dist load when they are loaded, themselves among them. */
function loadedModules(entries) {
  const found = new Set();
  const visit = (path) => {
    if (found.has(path) || !existsSync(join(root, path))) return;
    found.add(path);
    for (const [, name] of readFileSync(join(root, path), "utf8").matchAll(
      /^(?:import|export)\b[^;]*?["'](\.[^"']+)["']/gms,
    )) {
      visit(relative(root, resolve(root, dirname(path), name)));
    }
  };
  for (const entry of entries) visit(entry);
  return [...found];
}

const bundles = new Set(bundledModules.map((module) => `dist/${module}.js`));
const commands = () => filesUnder("src/commands", /\.ts$/).filter(isSource);

/** `inputs` without what a step finds out only by running: it returns `{outputs, inputs?}`. */
const steps = [
  {
    name: "tfjs-backend-torch",
    after: [],
    inputs: () => [...sources(`${torch}/src`), `${torch}/tsconfig.json`, "tsconfig.json"],
    run: async () => ({ outputs: await compile(torch, `${torch}/src`, `${torch}/dist`, new Set()) }),
  },
  {
    name: "typescript",
    after: ["tfjs-backend-torch"],
    inputs: () => [...sources("src"), "tsconfig.json", "package-lock.json"],
    run: async () => ({ outputs: await compile("tsconfig.json", "src", "dist", bundles) }),
  },
  ...[
    ["unigram", "assembly"],
    ["gunzip", "assembly/gunzip"],
    ["texts", "assembly/texts"],
  ].map(([name, folder]) => ({
    name: `${name}.wasm`,
    after: [],
    inputs: () => [...filesUnder("assembly", /\.(ts|json)$/), "package-lock.json"],
    run: async () => {
      await run("node_modules/assemblyscript/bin/asc.js", "--config", `${folder}/asconfig.json`);
      return { outputs: [`dist/wasm/${name}.wasm`] };
    },
  })),
  ...bundledModules.map((module) => ({
    name: module,
    // After the compiler, which writes the same file.
    after: ["typescript"],
    inputs: () => ["scripts/bundle.mjs", "package-lock.json"],
    run: () => bundle(module),
  })),
  {
    name: "report page",
    after: [],
    inputs: () => [...filesUnder("src/report/page", /./), "scripts/reportPage.mjs", "package-lock.json"],
    run: buildPages,
  },
  {
    name: "manifest",
    // The root help is what the commands' first run prints, bundles and all.
    after: ["typescript", ...bundledModules],
    inputs: () => ["scripts/manifest.mjs", "package.json", "bin/run.js", ...commands()],
    run: async () => {
      await run("scripts/manifest.mjs");
      const entries = commands().map((path) => path.replace(/^src/, "dist").replace(/\.ts$/, ".js"));
      return {
        inputs: loadedModules([...entries, "dist/cli/help.js"]),
        outputs: ["oclif.manifest.json", "dist/help.txt"],
      };
    },
  },
];

const stampOf = (step) => join(root, state, `${step.name.replaceAll("/", "-")}.json`);

function isUpToDate(step) {
  if (!existsSync(stampOf(step))) return false;
  const { given, found, outputs } = JSON.parse(readFileSync(stampOf(step), "utf8"));
  const same = (was) => Object.entries(was).every(([path, value]) => hash(path) === value);
  const now = hashes(step.inputs());
  return Object.keys(now).length === Object.keys(given).length && same(given) && same(found) && same(outputs);
}

/**
 * Brings dist up to date. Throws an Error whose message is what the failing steps printed.
 * @returns the names of the steps that ran
 */
export async function build() {
  mkdirSync(join(root, state), { recursive: true });
  const unlock = await lock();
  try {
    const ran = [];
    const started = new Map();
    const start = (step) => {
      if (!started.has(step.name)) started.set(step.name, perform(step));
      return started.get(step.name);
    };
    const perform = async (step) => {
      await Promise.all(step.after.map((name) => start(steps.find((other) => other.name === name))));
      if (isUpToDate(step)) return;
      rmSync(stampOf(step), { force: true });
      // Hashed before they are read: what is changed meanwhile is built again next time.
      const given = hashes(step.inputs());
      const { inputs = [], outputs } = await step.run();
      writeFileSync(stampOf(step), JSON.stringify({ given, found: hashes(inputs), outputs: hashes(outputs) }));
      ran.push(step.name);
    };
    const results = await Promise.allSettled(steps.map(start));
    const reasons = new Set(results.filter(({ status }) => status === "rejected").map(({ reason }) => reason));
    if (reasons.size > 0) throw new Error([...reasons].map((reason) => reason.message).join("\n"));
    return ran;
  } finally {
    unlock();
  }
}

/** One build at a time in this folder: test runs in two terminals build at their start. */
async function lock() {
  const file = join(root, state, "lock");
  for (;;) {
    try {
      writeFileSync(file, String(process.pid), { flag: "wx" });
      return () => rmSync(file, { force: true });
    } catch (error) {
      if (error.code !== "EEXIST") throw error;
    }
    if (!isAlive(Number(readFileIfThere(file)))) rmSync(file, { force: true });
    else await new Promise((resume) => setTimeout(resume, 100));
  }
}

function readFileIfThere(file) {
  return existsSync(file) ? readFileSync(file, "utf8") : "";
}

function isAlive(pid) {
  // Just made, not written yet.
  if (!pid) return true;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error.code === "EPERM";
  }
}

/** Builds and says in a line what was done. @returns whether it succeeded */
async function buildAloud() {
  const start = performance.now();
  try {
    const ran = await build();
    const seconds = ((performance.now() - start) / 1000).toFixed(1);
    console.error(ran.length === 0 ? "dist is up to date" : `built ${ran.join(", ")} in ${seconds} s`);
    return true;
  } catch (error) {
    console.error(error.message);
    return false;
  }
}

if (process.argv[1] && import.meta.url === pathToFileURL(resolve(process.argv[1])).href) {
  const succeeded = await buildAloud();
  if (!process.argv.includes("--watch")) process.exit(succeeded ? 0 : 1);
  let timer;
  let last = Promise.resolve();
  for (const folder of ["src", "assembly", `${torch}/src`]) {
    watch(join(root, folder), { recursive: true }, () => {
      clearTimeout(timer);
      timer = setTimeout(() => {
        last = last.then(buildAloud);
      }, 50);
    });
  }
}

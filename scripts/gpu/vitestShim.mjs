// As much of vitest as this project's tests use, in one module: tests run one after another in the process that imports them.
import {
  ASYMMETRIC_MATCHERS_OBJECT,
  addCustomEqualityTesters,
  chai,
  customMatchers,
  GLOBAL_EXPECT,
  getState,
  JestAsymmetricMatchers,
  JestChaiExpect,
  JestExtend,
  setState,
} from "@vitest/expect";

chai.use(JestExtend);
chai.use(JestChaiExpect);
chai.use(JestAsymmetricMatchers);
export const expect = (value, message) => chai.expect(value, message);
Object.assign(expect, chai.expect, globalThis[ASYMMETRIC_MATCHERS_OBJECT]);
expect.getState = () => getState(expect);
expect.setState = (state) => setState(state, expect);
expect.extend = (matchers) => chai.expect.extend(expect, matchers);
expect.addEqualityTesters = addCustomEqualityTesters;
globalThis[GLOBAL_EXPECT] = expect;
setState(
  {
    assertionCalls: 0,
    isExpectingAssertions: false,
    isExpectingAssertionsError: null,
    expectedAssertionsNumber: null,
    expectedAssertionsNumberErrorGen: null,
  },
  expect,
);
if (customMatchers) expect.extend(customMatchers);

const newSuite = (name, parent, skip = false) => ({
  name,
  parent,
  skip: skip || (parent?.skip ?? false),
  items: [],
  beforeAll: [],
  afterAll: [],
  beforeEach: [],
  afterEach: [],
});
const root = newSuite("", null);
let current = root;

// %s, %j, $key and arrays, as vitest's each has them.
function title(name, row) {
  const values = Array.isArray(row) ? row : [row];
  let at = 0;
  return name
    .replace(/%[sdijo#]/g, () => {
      const v = values[at++];
      return typeof v === "object" ? JSON.stringify(v) : String(v);
    })
    .replace(/\$(\w+)/g, (all, key) =>
      values[0] && typeof values[0] === "object" && key in values[0] ? JSON.stringify(values[0][key]) : all,
    );
}
const each =
  (define) =>
  (rows) =>
  (name, body, ...rest) => {
    for (const row of rows) define(title(name, row), () => body(...(Array.isArray(row) ? row : [row])), ...rest);
  };
const fn = (a, b) => (typeof a === "function" ? a : b);

export function describe(name, a, b) {
  suite(name, fn(a, b), false);
}
function suite(name, body, skip) {
  const own = newSuite(typeof name === "function" ? name.name : name, current, skip);
  current.items.push({ suite: own });
  current = own;
  try {
    body?.();
  } finally {
    current = own.parent;
  }
}
describe.skip = (name, a, b) => suite(name, fn(a, b), true);
describe.each = each(describe);
describe.skipIf = (condition) => (condition ? describe.skip : describe);
describe.runIf = (condition) => (condition ? describe : describe.skip);

export function it(name, a, b) {
  current.items.push({ name, body: fn(a, b), skip: false });
}
it.skip = (name, a, b) => current.items.push({ name, body: fn(a, b), skip: true });
it.each = each(it);
it.for = (rows) => (name, a, b) => {
  for (const row of rows) it(title(name, row), (context) => fn(a, b)(row, context));
};
it.skipIf = (condition) => (condition ? it.skip : it);
it.runIf = (condition) => (condition ? it : it.skip);
export const test = it;
export const beforeAll = (body) => void current.beforeAll.push(body);
export const afterAll = (body) => void current.afterAll.push(body);
export const beforeEach = (body) => void current.beforeEach.push(body);
export const afterEach = (body) => void current.afterEach.push(body);

class Skipped extends Error {}
const counts = { passed: 0, failed: 0, skipped: 0 };
const only = process.env.ONLY ?? "";
const skipNames = (process.env.SKIP ?? "").split("|").filter(Boolean);
const pathOf = (s) => (s.parent ? [...pathOf(s.parent), s.name] : []);
const hasTests = (s) => s.items.some((item) => (item.suite ? hasTests(item.suite) : !item.skip));

async function runSuite(s) {
  const chain = [];
  for (let at = s; at; at = at.parent) chain.unshift(at);
  let broken = null;
  if (!s.skip && hasTests(s))
    for (const hook of s.beforeAll) {
      try {
        await hook();
      } catch (error) {
        broken = error;
      }
    }
  for (const item of s.items) {
    if (item.suite) {
      await runSuite(item.suite);
      continue;
    }
    const full = [...pathOf(s), item.name].join(" > ");
    if (only && !full.includes(only)) continue;
    if (s.skip || item.skip || !item.body || skipNames.some((name) => full.includes(name))) {
      counts.skipped++;
      console.log(`skip ${full}`);
      continue;
    }
    const started = performance.now();
    try {
      if (broken) throw broken;
      for (const one of chain) for (const hook of one.beforeEach) await hook();
      await item.body({
        skip: (why) => {
          throw new Skipped(why);
        },
        expect,
      });
      counts.passed++;
    } catch (error) {
      if (error instanceof Skipped) {
        counts.skipped++;
        console.log(`skip ${full}: ${error.message}`);
      } else {
        counts.failed++;
        console.log(
          `FAIL ${full} (${Math.round(performance.now() - started)} ms)\n     ${String(error?.message ?? error)
            .split("\n")
            .slice(0, 6)
            .join("\n     ")}`,
        );
      }
    } finally {
      for (const one of chain)
        for (const hook of one.afterEach) {
          try {
            await hook();
          } catch (error) {
            console.log(`afterEach: ${error?.message}`);
          }
        }
    }
  }
  if (!s.skip && hasTests(s))
    for (const hook of s.afterAll) {
      try {
        await hook();
      } catch (error) {
        console.log(`afterAll: ${error?.message}`);
      }
    }
}
export async function runAll() {
  await runSuite(root);
  console.log(`${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped`);
  process.exit(counts.failed > 0 ? 1 : 0);
}

import { readFileSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type * as Axe from "axe-core";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect } from "vitest";
import { waitingHtml } from "../src/cli/watchReport.js";
import { writeDatasetPage } from "../src/report/render/writeDatasetPage.js";
import { writeReport } from "../src/report/render/writeReport.js";
import { launchBrowser, openPage, pageDataset, pageRuns, testInBrowser } from "./reportPages.js";

/** axe-core looks at every state that the pages can be brought into. */

const axeSource = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

let out: string;
let browser: Browser | undefined;
const files = { report: "", pair: "", dataset: "", waiting: "" };

beforeAll(async () => {
  out = await mkdtemp(join(tmpdir(), "mswitch-access-"));
  files.report = (await writeReport(pageRuns, out, { resamples: 100, dataset: pageDataset })).page;
  files.pair = (await writeReport([pageRuns[0], pageRuns[2]], join(out, "pair"), { resamples: 100 })).page;
  files.dataset = await writeDatasetPage(pageDataset, out);
  files.waiting = join(out, "waiting.html");
  await writeFile(files.waiting, waitingHtml("runs/a: there is no speed-up yet <b>"));
  browser = await launchBrowser();
});
afterAll(async () => {
  await browser?.close();
  await rm(out, { recursive: true, force: true });
});

declare global {
  var axe: typeof Axe;
}

/** What axe finds on the page as it stands: rule, and the elements. */
async function findings(page: Page): Promise<string[]> {
  return await page.evaluate(async () => {
    const { violations } = await globalThis.axe.run(document, { resultTypes: ["violations"] });
    return violations.map(({ id, nodes }) => `${id}: ${nodes.slice(0, 3).map(({ html }) => html.slice(0, 160))}`);
  });
}

/** Goes from state to state, each from where the last one was, and asks axe after each. */
async function expectNothingFound(page: Page, states: Record<string, () => Promise<unknown>>): Promise<void> {
  await page.evaluate(axeSource);
  const found: Record<string, string[]> = {};
  for (const [name, reach] of Object.entries(states)) {
    await reach();
    const list = await findings(page);
    if (list.length > 0) found[name] = list;
  }
  expect(found).toEqual({});
}

const datasetStates = (page: Page): Record<string, () => Promise<unknown>> => ({
  "dataset: languages found": () => page.fill("#dataset-search", "japan"),
  "dataset: none found": () => page.fill("#dataset-search", "no such language"),
  "dataset: all again": () => page.fill("#dataset-search", ""),
  "dataset: sorted": () => page.click(".dataset th:nth-child(3) button"),
  "dataset: sorted the other way": () => page.keyboard.press("Enter"),
  "dataset: another mixing": () => page.selectOption("#mixing-strategy", "3"),
  "dataset: another budget": () => page.selectOption("#mixing-budget", "2"),
});

const openAll = (page: Page): Promise<void> =>
  page.$$eval("details", (all) => {
    for (const element of all) element.open = true;
  });

function reportStates(page: Page): Record<string, () => Promise<unknown>> {
  const check = (name: string, value: string) => () =>
    page.check(`input[name=${name}][value=${value}]`, { force: true });
  return {
    "as it opens": async () => undefined,
    "skip link": () => page.keyboard.press("Tab"),
    "in time": check("measure", "time"),
    "in FLOPs": check("measure", "flops"),
    "over tasks": check("level", "tasks"),
    "ordered by gain": () => page.selectOption("#order", "gain"),
    "another candidate": () => page.selectOption("#candidate", "1"),
    "a candidate from the comparison": () => page.click("#compared [data-candidate='0']"),
    "a language": () => page.selectOption("#language", "ja"),
    "the next language": () => page.click("#next"),
    logarithmic: () => page.check("#logarithmic"),
    "another layer": () => page.selectOption("#layer", "1"),
    "map by name": () => page.selectOption("#map-order", "name"),
    "languages found": () => page.fill("#search", "japan"),
    "none found": () => page.fill("#search", "no such language"),
    "all again": () => page.fill("#search", ""),
    sorted: () => page.click("#rows [data-sort=gain]"),
    "sorted the other way": () => page.keyboard.press("Enter"),
    "a row in focus": async () => {
      await page.focus("#rows tbody .pick");
      await page.keyboard.press("ArrowDown");
    },
    "a language from the table": () => page.click("#rows tbody tr:nth-child(3) .pick"),
    "a tooltip": () => page.hover("#histogram svg", { position: { x: 300, y: 250 } }),
    "a tooltip of curves": () => page.hover("#curve svg", { position: { x: 300, y: 150 } }),
    "all folds open": () => openAll(page),
    ...datasetStates(page),
    "in print": async () => {
      await page.emulateMedia({ media: "print" });
      await page.evaluate(() => dispatchEvent(new Event("beforeprint")));
    },
    "after print": async () => {
      await page.evaluate(() => dispatchEvent(new Event("afterprint")));
      await page.emulateMedia({ media: "screen" });
    },
  };
}

function pick(states: Record<string, () => Promise<unknown>>, names: string[]): typeof states {
  return Object.fromEntries(names.map((name) => [name, states[name]]));
}

const looks = [
  { colorScheme: "light", width: 390 },
  { colorScheme: "light", width: 1280 },
  { colorScheme: "dark", width: 1280 },
] as const;
for (const { colorScheme, width } of looks) {
  // Every state once; the others where colours and widths may matter.
  const takesAll = width === 390;
  const coloured = [
    "as it opens",
    "a language",
    "another layer",
    "sorted",
    "a row in focus",
    "a tooltip",
    "all folds open",
    "in print",
  ];
  describe(`axe finds nothing, ${colorScheme}, ${width} pixels wide`, () => {
    const options = { colorScheme, viewport: { width, height: 900 }, reducedMotion: "reduce" } as const;
    const open = async (file: keyof typeof files): Promise<Page> =>
      (await openPage(browser!, files[file], options)).page;

    testInBrowser(
      "in any state of the report",
      () => browser,
      async () => {
        const page = await open("report");
        const states = reportStates(page);
        await expectNothingFound(page, takesAll ? states : pick(states, coloured));
      },
    );
    testInBrowser(
      "in the report of a single candidate",
      () => browser,
      async () => {
        await expectNothingFound(await open("pair"), { "as it opens": async () => undefined });
      },
    );
    testInBrowser(
      "in any state of the dataset's page",
      () => browser,
      async () => {
        const page = await open("dataset");
        await expectNothingFound(page, {
          "as it opens": async () => undefined,
          ...(takesAll ? datasetStates(page) : {}),
          "all folds open": () => openAll(page),
        });
      },
    );
    testInBrowser(
      "in the page that waits for a report",
      () => browser,
      async () => {
        await expectNothingFound(await open("waiting"), { "as it opens": async () => undefined });
      },
    );
  });
}

import { pathToFileURL } from "node:url";
import { type Browser, chromium, type Page } from "playwright-core";
import { test } from "vitest";
import { emptyCounts, type InspectReport, sumCounts, withRates } from "../src/analysis/tokenStatistics.js";
import { emptyManifest } from "../src/dataset/format/buildManifest.js";
import { mixingPreview } from "../src/stream/mixingPreview.js";
import { chromiumPath } from "./helpers/chromiumPath.js";
import { syntheticRun } from "./reportRuns.js";

/** Runs and a dataset for pages, and a browser to look at them in. */

const languages = ["af", "am", "de", "en", "ja", "ja-Latn", "sw", "zu"];
const steps = [0, 100, 200, 300, 400, 500, 600, 700, 800];
const speeds: Record<string, number> = { af: 2, am: 3, de: 5.5, en: 0.6, ja: 2.5, "ja-Latn": 40, sw: 4, zu: 1.5 };
const common = { languages, steps, noise: 0.005 };

export const evilName = `switch</script><img src=x onerror="document.title='run'">`;

/** A dense baseline, a candidate that is faster in most languages and one that is hardly so and unfinished. */
export const pageRuns = [
  syntheticRun({ ...common, name: "dense", speed: () => 1 }),
  syntheticRun({ ...common, name: evilName, speed: (code) => speeds[code], experts: 4 }),
  syntheticRun({ ...common, name: "second", speed: () => 1.2, experts: 16, totalSteps: 1000 }),
];
pageRuns[1].config = "name: </pre><script>document.title='run'</script>\n";

const tokens = languages.map((language, i) =>
  withRates(
    {
      ...emptyCounts(),
      documents: 10 + i,
      tokens: 900 - i,
      byteFallback: language === "am" ? 115 : 0,
      bytes: 3000,
      words: 500,
      longest: 99,
      lengths: [0, 0, 4, 6 + i],
    },
    { language, shards: 1, allShards: 1 },
  ),
);
const vocabulary = {
  ...{ path: "v", fingerprint: "0".repeat(64), size: 1000, embeddingRows: 1024 },
  ...{ padId: 0, eosId: 1, unkId: 2, sentinelIds: [] },
};

export const pageDataset: InspectReport = {
  dir: "tokens",
  vocabulary: { fingerprint: vocabulary.fingerprint, size: vocabulary.size },
  languages: tokens,
  total: withRates(sumCounts(tokens), { language: "total", shards: 8, allShards: 8 }),
  documents: [
    {
      ...{ language: "am", split: "train", source: "corpus/c4-am.json.gz", line: 2, bytes: 9, tokens: 2 },
      ...{ ids: [7, 8], pieces: ["\u2581<b>", "ሰላም"], text: "<b>ሰላም" },
    },
  ],
  sources: [{ folder: "corpus", files: 8, bytes: 12_000, versions: [], licence: null }],
  dates: { af: { from: "2019-01-02", to: "2020-03-04", documents: 5 } },
  setAside: {
    causes: { "invalid-json": 2 },
    byLanguage: { am: 2 },
    listed: [{ file: "corpus/c4-am.json.gz", language: "am", line: 3, cause: "invalid-json", detail: "<b>bad" }],
  },
  withoutValidation: ["zu"],
  mixing: mixingPreview({
    ...emptyManifest(vocabulary),
    languages: Object.fromEntries(
      languages.map((code, i) => [
        code,
        { train: { shards: 1, documents: 10 * 4 ** i, tokens: 900 * 5 ** i, bytes: 1 } },
      ]),
    ),
  }),
};

/** Undefined where there is no Chromium. */
export async function launchBrowser(): Promise<Browser | undefined> {
  if (!chromiumPath) return undefined;
  return await chromium.launch({
    executablePath: chromiumPath,
    args: ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"],
  });
}

/** A test that is left out, with a line that says so, where there is no browser. */
export function testInBrowser(name: string, browser: () => Browser | undefined, body: () => Promise<void>): void {
  test(name, async (ctx) => {
    if (!browser()) ctx.skip("no Chromium: set CHROMIUM to its path, or put it on PATH");
    await body();
  });
}

export interface Opened {
  page: Page;
  /** Whatever went wrong or over the network. */
  faults: string[];
}

/** Opens a page from its file; a context of its own, so that no storage is shared. */
export async function openPage(
  browser: Browser,
  file: string,
  { hash = "", ...options }: Parameters<Browser["newContext"]>[0] & { hash?: string } = {},
): Promise<Opened> {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...options });
  context.setDefaultTimeout(15_000);
  const page = await context.newPage();
  const faults: string[] = [];
  page.on("console", (message) => faults.push(`console ${message.type()}: ${message.text()}`));
  page.on("pageerror", (error) => faults.push(`error: ${error.message}`));
  page.on("request", (request) => {
    if (!/^(file|data|blob):/.test(request.url())) faults.push(`request: ${request.url()}`);
  });
  await page.goto(pathToFileURL(file).href + hash);
  if (await page.$("#curve")) await page.waitForSelector("#curve svg path", { state: "attached" });
  return { page, faults };
}

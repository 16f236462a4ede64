import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { type Browser, type BrowserContext, chromium, type Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { emptyCounts, type InspectReport, sumCounts, withRates } from "../src/analysis/tokenStatistics.js";
import { writeReport } from "../src/report/render/writeReport.js";
import { chromiumPath } from "./helpers/chromiumPath.js";
import { syntheticRun } from "./reportRuns.js";

const languages = ["af", "am", "de", "en", "ja", "ja-Latn", "sw", "zu"];
const steps = [0, 100, 200, 300, 400, 500, 600, 700, 800];
const speeds: Record<string, number> = { af: 2, am: 3, de: 5.5, en: 0.6, ja: 2.5, "ja-Latn": 40, sw: 4, zu: 1.5 };
const evilName = `switch</script><img src=x onerror="document.title='run'">`;
const common = { languages, steps, noise: 0.005 };
const baseline = syntheticRun({ ...common, name: "dense", speed: () => 1 });
const runs = [
  syntheticRun({ ...common, name: evilName, speed: (code) => speeds[code], experts: 4 }),
  syntheticRun({ ...common, name: "second", speed: () => 1.2, experts: 16, totalSteps: 1000 }),
];
runs[0].config = "name: </pre><script>document.title='run'</script>\n";

const tokens = languages.map((language, i) =>
  withRates(
    {
      ...emptyCounts(),
      documents: 10 + i,
      tokens: 900 - i,
      bytes: 3000,
      words: 500,
      longest: 99,
      lengths: [0, 0, 4, 6 + i],
    },
    { language, shards: 1, allShards: 1 },
  ),
);
const dataset: InspectReport = {
  dir: "tokens",
  vocabulary: { fingerprint: "0".repeat(64), size: 1000 },
  languages: tokens,
  total: withRates(sumCounts(tokens), { language: "total", shards: 8, allShards: 8 }),
  documents: [],
};

let out: string;
let browser: Browser | undefined;

beforeAll(async () => {
  out = await mkdtemp(join(tmpdir(), "mswitch-report-"));
  await writeReport([baseline, ...runs], out, { resamples: 100, dataset });
  if (!chromiumPath) return;
  browser = await chromium.launch({
    executablePath: chromiumPath,
    args: ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"],
  });
});
afterAll(async () => {
  await browser?.close();
  await rm(out, { recursive: true, force: true });
});

interface Opened {
  page: Page;
  /** Whatever went wrong or over the network. */
  faults: string[];
}

/** Opens the page from its file; a context of its own, so that no storage is shared. */
async function open({
  hash = "",
  ...options
}: Parameters<Browser["newContext"]>[0] & { hash?: string } = {}): Promise<Opened> {
  const context: BrowserContext = await browser!.newContext({ viewport: { width: 1280, height: 900 }, ...options });
  context.setDefaultTimeout(15_000);
  const page = await context.newPage();
  const faults: string[] = [];
  page.on("console", (message) => faults.push(`console ${message.type()}: ${message.text()}`));
  page.on("pageerror", (error) => faults.push(`error: ${error.message}`));
  page.on("request", (request) => {
    if (!/^(file|data|blob):/.test(request.url())) faults.push(`request: ${request.url()}`);
  });
  await page.goto(pathToFileURL(join(out, "index.html")).href + hash);
  await page.waitForSelector("#curve svg path", { state: "attached" });
  return { page, faults };
}

const cells = (page: Page, column: number): Promise<string[]> =>
  page.$$eval(`#rows tbody tr > :nth-child(${column})`, (found) => found.map((cell) => cell.textContent?.trim() ?? ""));

const withBrowser = (name: string, body: () => Promise<void>): void => {
  test(name, async (ctx) => {
    if (!browser) ctx.skip("no Chromium: set CHROMIUM to its path, or put it on PATH");
    await body();
  });
};

test("the page is one file without addresses of others", async () => {
  const text = await readFile(join(out, "index.html"), "utf8");
  expect(text).not.toMatch(/<(script|img|link|iframe)[^>]+(src|href)="(?!data:)/);
  expect(text.length).toBeLessThan(1_200_000);
});

describe("in Chromium, from a file", () => {
  withBrowser("every chart is drawn, nothing fails, nothing is fetched, no text is run", async () => {
    const { page, faults } = await open();
    for (const id of ["histogram", "pairs", "curve", "balance"]) {
      expect(await page.$$eval(`#${id} svg path`, (paths) => paths.length), id).toBeGreaterThan(5);
    }
    for (const id of ["map", "layers"]) {
      const fills = await page.$$eval(`#${id} svg path`, (paths) => paths.map((path) => path.getAttribute("fill")));
      const colours = new Set(fills).size;
      expect(colours, id).toBeGreaterThan(5);
    }
    await page.click("#published summary");
    await page.waitForSelector("#published-histogram svg path", { state: "attached" });
    expect(await page.title()).toContain("against dense");
    expect(await page.$$eval("img", (images) => images.length)).toBe(0);
    expect(faults).toEqual([]);
  });

  withBrowser("the table sorts both ways by every column that can be sorted, and finds languages", async () => {
    const { page } = await open();
    const byStep = await cells(page, 1);
    expect(byStep[0]).toContain("Japanese (Latin)");
    expect(byStep.at(-1)).toContain("English");
    await page.click("#rows [data-sort=name]");
    expect((await cells(page, 1))[0]).toContain("Afrikaans");
    expect(await page.getAttribute("#rows th:has([data-sort=name])", "aria-sort")).toBe("ascending");
    await page.keyboard.press("Enter");
    expect((await cells(page, 1))[0]).toContain("Zulu");
    expect(await page.getAttribute("#rows th:has([data-sort=name])", "aria-sort")).toBe("descending");
    const keys = await page.$$eval("#rows [data-sort]", (buttons) =>
      buttons.map((button) => button.getAttribute("data-sort")),
    );
    expect(keys).toEqual(["name", "baseline", "candidate", "gain", "step", "time", "flops", "epochs", "tokens"]);
    for (const key of keys) {
      await page.click(`#rows [data-sort=${key}]`);
      const once = await cells(page, 1);
      await page.click(`#rows [data-sort=${key}]`);
      expect((await cells(page, 1)).toSorted()).toEqual(once.toSorted());
    }
    await page.fill("#search", "japan");
    expect(await cells(page, 1)).toHaveLength(2);
    expect(await page.textContent("#found")).toBe("2 of 8");
    await page.fill("#search", "no such language");
    expect(await cells(page, 1)).toEqual([]);
  });

  withBrowser("the dataset's table sorts by a column of its own", async () => {
    const { page, faults } = await open();
    const codes = (): Promise<(string | null)[]> =>
      page.$$eval("#dataset tbody th code", (found) => found.map((cell) => cell.textContent));
    expect((await codes())[0]).toBe("af");
    await page.click("#dataset th:nth-child(2) button");
    expect((await codes())[0]).toBe("zu");
    await page.click("#dataset th:nth-child(3) button");
    expect((await codes())[0]).toBe("af");
    expect(faults).toEqual([]);
  });

  withBrowser("bounds and reversed speed-ups are marked", async () => {
    const { page } = await open();
    const rows = await page.$$eval("#rows tbody tr", (found) => found.map((row) => row.textContent ?? ""));
    expect(rows.find((row) => row.includes("Japanese (Latin)"))).toMatch(/≥\u202f8\.00×/);
    expect(rows.find((row) => row.includes("English"))).toMatch(/0\.\d+×†/);
    await page.check("input[name=level][value=tasks]", { force: true });
    expect(await page.textContent(".notes")).toMatch(/never reaches.*lower bounds/s);
  });

  withBrowser("a language is picked from the list, by arrow and from the table", async () => {
    const { page } = await open({ reducedMotion: "reduce" });
    const curve = (): Promise<string> => page.$eval("#curve", (element) => element.innerHTML);
    const seen = [await curve()];
    await page.selectOption("#language", "de");
    seen.push(await curve());
    await page.click("#next");
    seen.push(await curve());
    await page.click("#rows [data-language=zu]");
    expect(await page.inputValue("#language")).toBe("zu");
    seen.push(await curve());
    await page.check("#logarithmic");
    seen.push(await curve());
    expect(new Set(seen).size).toBe(seen.length);
  });

  withBrowser("another candidate, measure, order or unit changes what is shown", async () => {
    const { page, faults } = await open({ reducedMotion: "reduce" });
    const state = (): Promise<string> => page.$eval("main", (element) => element.innerHTML);
    const seen = [await state()];
    await page.check("input[name=measure][value=time]", { force: true });
    seen.push(await state());
    await page.check("input[name=level][value=tasks]", { force: true });
    expect(await page.textContent(".headline")).toContain("8 tasks");
    seen.push(await state());
    await page.selectOption("#order", "gain");
    seen.push(await state());
    await page.selectOption("#candidate", "1");
    expect(await page.textContent("h1")).toContain("second");
    expect(await page.textContent(".notes")).toContain("second is not finished");
    seen.push(await state());
    expect(new Set(seen).size).toBe(seen.length);
    expect(faults).toEqual([]);
  });

  for (const colorScheme of ["light", "dark"] as const) {
    withBrowser(`every text is legible in ${colorScheme}`, async () => {
      const { page } = await open({ colorScheme });
      await page.$$eval("details", (all) => {
        for (const element of all) element.open = true;
      });
      const poor = await page.evaluate(findPoorContrast);
      expect(poor).toEqual([]);
      const background = await page.$eval("body", (body) => getComputedStyle(body).backgroundColor);
      await page.selectOption("#theme", colorScheme === "light" ? "dark" : "light");
      expect(await page.$eval("body", (body) => getComputedStyle(body).backgroundColor)).not.toBe(background);
      expect(await page.evaluate(findPoorContrast)).toEqual([]);
      await page.reload();
      expect(await page.$eval("body", (body) => getComputedStyle(body).backgroundColor)).not.toBe(background);
    });
  }

  withBrowser("a link leads to a language of a candidate, and each figure can be taken along", async () => {
    const { page, faults } = await open({ hash: "#candidate=1&language=ja" });
    expect(await page.textContent("h1")).toContain("second");
    expect(await page.$eval("#language", (select) => (select as HTMLSelectElement).value)).toBe("ja");
    expect(await page.getAttribute("#curve", "aria-label")).toMatch(/Japanese: dense ends at .* a speed-up of/);
    for (const [selector, name, content] of [
      ["[data-csv=curve]", "curve.csv", /^run,step,nlp_measured,nlp_rising\r\ndense,/],
      ["[data-image=curve]", "curve.svg", /^<svg /],
      ["[data-file='speedups.csv']", "speedups.csv", /^candidate,code,name/],
    ] as const) {
      const [file] = await Promise.all([page.waitForEvent("download"), page.click(selector)]);
      expect(file.suggestedFilename()).toBe(name);
      expect(await readFile(await file.path(), "utf8")).toMatch(content);
    }
    expect(faults).toEqual([]);
  });

  withBrowser("a language is found by its own name; arrow keys move through the table, Tab passes it", async () => {
    const { page } = await open();
    await page.fill("#search", "日本");
    // Japanese in its own script and in Latin letters.
    expect(await page.locator("#rows tbody tr").count()).toBe(2);
    await page.fill("#search", "");
    expect(
      await page.$$eval("#rows tbody .pick", (all) => all.filter((one) => (one as HTMLElement).tabIndex === 0).length),
    ).toBe(1);
    await page.focus("#rows tbody .pick");
    await page.keyboard.press("ArrowDown");
    expect(await page.$$eval("#rows tbody .pick", (all) => (all as Element[]).indexOf(document.activeElement!))).toBe(
      1,
    );
  });

  withBrowser("paper has every map: nothing is left to a frame that never comes", async () => {
    const { page } = await open({});
    await page.emulateMedia({ media: "print" });
    const marks = await page.evaluate(() => {
      dispatchEvent(new Event("beforeprint"));
      return ["map", "layers"].map((id) => document.querySelectorAll(`#${id} svg path`).length);
    });
    expect(marks[0]).toBeGreaterThanOrEqual(8 * 4);
    expect(marks[1]).toBeGreaterThanOrEqual(2 * 4);
  });

  withBrowser("a narrow screen scrolls down, not sideways", async () => {
    const { page } = await open({ viewport: { width: 360, height: 700 } });
    expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBe(360);
  });

  withBrowser("without scripts there are still headline and table", async () => {
    const context = await browser!.newContext({ javaScriptEnabled: false });
    const page = await context.newPage();
    await page.goto(pathToFileURL(join(out, "index.html")).href);
    expect(await page.textContent(".headline")).toContain("learns faster than dense");
    expect(await page.locator("#rows tbody tr").count()).toBe(8);
  });
});

/** Runs in the page: texts whose contrast to what is behind them is under 4.5 (WCAG AA), chart labels included. */
function findPoorContrast(): string[] {
  const channels = (colour: string): number[] => (colour.match(/[\d.]+/g) ?? []).map(Number);
  const hex = (colour: string): string => {
    const probe = document.createElement("i");
    probe.style.color = colour;
    document.body.append(probe);
    const computed = getComputedStyle(probe).color;
    probe.remove();
    return computed;
  };
  const luminance = (colour: string): number => {
    const [r, g, b] = channels(colour).map((value) => {
      const share = value / 255;
      return share <= 0.03928 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (element: Element): string => {
    for (let at: Element | null = element; at; at = at.parentElement) {
      const { backgroundColor } = getComputedStyle(at);
      if ((channels(backgroundColor)[3] ?? 1) > 0) return backgroundColor;
    }
    return "rgb(255, 255, 255)";
  };
  const poor = new Set<string>();
  for (const element of document.querySelectorAll("body *")) {
    const own = [...element.childNodes].some((node) => node.nodeType === Node.TEXT_NODE && node.textContent?.trim());
    if (!own || ["SCRIPT", "STYLE", "OPTION"].includes(element.tagName)) continue;
    const style = getComputedStyle(element);
    const colour = element instanceof SVGElement ? hex(style.fill) : style.color;
    const [a, b] = [luminance(colour), luminance(behind(element))];
    const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (contrast < 4.5)
      poor.add(`${element.tagName} "${element.textContent?.trim().slice(0, 30)}" ${contrast.toFixed(2)}`);
  }
  return [...poor];
}

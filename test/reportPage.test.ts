import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { writeReport } from "../src/report/render/writeReport.js";
import { launchBrowser, type Opened, openPage, pageDataset, pageRuns, testInBrowser } from "./reportPages.js";

let out: string;
let browser: Browser | undefined;

beforeAll(async () => {
  out = await mkdtemp(join(tmpdir(), "mswitch-report-"));
  await writeReport(pageRuns, out, { resamples: 100, dataset: pageDataset });
  browser = await launchBrowser();
});
afterAll(async () => {
  await browser?.close();
  await rm(out, { recursive: true, force: true });
});

const open = (options?: Parameters<typeof openPage>[2]): Promise<Opened> =>
  openPage(browser!, join(out, "index.html"), options);

const cells = (page: Page, column: number): Promise<string[]> =>
  page.$$eval(`#rows tbody tr > :nth-child(${column})`, (found) => found.map((cell) => cell.textContent?.trim() ?? ""));

const withBrowser = (name: string, body: () => Promise<void>): void => testInBrowser(name, () => browser, body);

test("the page is one file without addresses of others", async () => {
  const text = await readFile(join(out, "index.html"), "utf8");
  expect(text).not.toMatch(/<(script|img|link|iframe)[^>]+(src|href)="(?!data:)/);
  expect(text.length).toBeLessThan(1_200_000);
});

describe("in Chromium, from a file", () => {
  withBrowser("every chart is drawn, nothing fails, nothing is fetched, no text is run", async () => {
    const { page, faults } = await open();
    for (const id of ["histogram", "overlay", "pairs", "curve", "balance"]) {
      expect(await page.$$eval(`#${id} svg path`, (paths) => paths.length), id).toBeGreaterThan(5);
    }
    for (const id of ["map", "layers", "entropy"]) {
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
    await page.fill("#dataset-search", "አማርኛ");
    expect(await page.textContent("#dataset-found")).toBe("1 of 8");
    expect(
      await page.$$eval(
        "#dataset .dataset tbody tr",
        (rows) => rows.filter((row) => !(row as HTMLElement).hidden).length,
      ),
    ).toBe(1);
    expect(faults).toEqual([]);
  });

  withBrowser("another mixing or budget is previewed", async () => {
    const { page, faults } = await open();
    const text = (): Promise<string | null> => page.textContent("#mixing");
    const first = await text();
    expect(first).toContain("stream: { mixing: { strategy: temperature } }");
    await page.selectOption("#mixing-strategy", { label: "proportional: all equally often" });
    // Every language is read once.
    const epochs = await page.$$eval("#mixing tbody td:last-child", (all) => all.map((cell) => cell.textContent));
    expect(epochs).toEqual(epochs.map(() => "1.00"));
    await page.selectOption("#mixing-budget", "2");
    expect(await page.textContent("#mixing tbody td:last-child")).toBe("16.0over 4");
    expect(faults).toEqual([]);
  });

  withBrowser("a click in the comparison shows that candidate everywhere", async () => {
    const { page, faults } = await open({ reducedMotion: "reduce" });
    expect(await page.$$eval("#compared tbody tr", (rows) => rows.length)).toBe(2);
    await page.click("#compared [data-candidate='1']");
    expect(await page.textContent("h1")).toContain("second");
    expect(await page.inputValue("#candidate")).toBe("1");
    expect(await page.getAttribute("#compared [data-candidate='1']", "aria-pressed")).toBe("true");
    const focused = (): Promise<string | undefined> =>
      page.evaluate(() => (document.activeElement as HTMLElement).dataset.candidate);
    expect(await focused()).toBe("1");
    await page.keyboard.press("ArrowUp");
    expect(await focused()).toBe("0");
    await page.keyboard.press("Enter");
    expect(await page.inputValue("#candidate")).toBe("0");
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
    const { page, faults } = await open({ hash: "#candidate=1&language=ja", reducedMotion: "reduce" });
    expect(await page.textContent("h1")).toContain("second");
    expect(await page.$eval("#language", (select) => (select as HTMLSelectElement).value)).toBe("ja");
    expect(await page.getAttribute("#curve", "aria-label")).toMatch(/Japanese: dense ends at .* a speed-up of/);
    await page.$$eval("details", (all) => {
      for (const element of all) element.open = true;
    });
    // What opens moves what is below it.
    await page.waitForSelector("#published-pairs svg path", { state: "attached" });
    const figures = await page.$$eval("figure .chart", (all) => all.map(({ id }) => id));
    expect(figures).toHaveLength(10);
    for (const id of figures) {
      for (const [kind, name, content] of [
        ["csv", `${id}.csv`, /^[a-z_,0-9]+\r\n(?:[^\r]+\r\n){2,}$/],
        ["image", `${id}.svg`, /^<svg .*<path /s],
      ] as const) {
        await page.waitForSelector(`#${id} svg path`, { state: "attached" });
        // Chromium drops a page's eleventh download within a second.
        await page.waitForTimeout(110);
        const [file] = await Promise.all([page.waitForEvent("download"), page.click(`[data-${kind}=${id}]`)]);
        expect(file.suggestedFilename()).toBe(name);
        expect(await readFile(await file.path(), "utf8"), name).toMatch(content);
      }
    }
    const [file] = await Promise.all([page.waitForEvent("download"), page.click("[data-file='speedups.csv']")]);
    expect(await readFile(await file.path(), "utf8")).toMatch(/^candidate,code,name/);
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

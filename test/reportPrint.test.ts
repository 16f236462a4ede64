import { execFileSync, spawnSync } from "node:child_process";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { writeDatasetPage } from "../src/report/render/writeDatasetPage.js";
import { writeReport } from "../src/report/render/writeReport.js";
import { launchBrowser, openPage, pageDataset, pageRuns } from "./reportPages.js";
import { syntheticRun } from "./reportRuns.js";

/** Chromium's PDF of the pages, drawn by poppler at a pixel for each CSS pixel, held against what the screen shows. */

const hasPoppler = spawnSync("pdftoppm", ["-v"]).error === undefined;
const margin = "10mm";

let out: string;
let browser: Browser | undefined;

beforeAll(async () => {
  out = await mkdtemp(join(tmpdir(), "mswitch-print-"));
  browser = await launchBrowser();
});
afterAll(async () => {
  await browser?.close();
  await rm(out, { recursive: true, force: true });
});

/** A picture's grey values, [height][width] row-major. */
interface Picture {
  width: number;
  height: number;
  grey: Uint8Array;
}

async function pictureOf(page: Page, png: Buffer): Promise<Picture> {
  const { width, height, text } = await page.evaluate(async (data) => {
    const image = new Image();
    image.src = `data:image/png;base64,${data}`;
    await image.decode();
    const canvas = Object.assign(document.createElement("canvas"), { width: image.width, height: image.height });
    const context = canvas.getContext("2d")!;
    context.drawImage(image, 0, 0);
    const { data: pixels } = context.getImageData(0, 0, image.width, image.height);
    let text = "";
    for (let i = 0; i < pixels.length; i += 4)
      text += String.fromCharCode(Math.round((pixels[i] + pixels[i + 1] + pixels[i + 2]) / 3));
    return { width: image.width, height: image.height, text: btoa(text) };
  }, png.toString("base64"));
  return { width, height, grey: new Uint8Array(Buffer.from(text, "base64")) };
}

/** Means of squares of `size` pixels: small shifts of letters do not count. */
function coarse({ width, height, grey }: Picture, size: number, left = 0, top = 0): Picture {
  const small = { width: Math.floor((width - left) / size), height: Math.floor((height - top) / size) };
  const means = new Uint8Array(small.width * small.height);
  for (let y = 0; y < small.height; y++) {
    for (let x = 0; x < small.width; x++) {
      let sum = 0;
      for (let dy = 0; dy < size; dy++)
        for (let dx = 0; dx < size; dx++) sum += grey[(top + y * size + dy) * width + left + x * size + dx];
      means[y * small.width + x] = sum / size ** 2;
    }
  }
  return { ...small, grey: means };
}

/** Mean difference of grey values at the place of `sheet` where `figure` fits best, and how much ink is there of the figure's. */
function bestFit(figure: Picture, sheets: readonly Picture[], left: number): { difference: number; ink: number } {
  const size = 4;
  const small = coarse(figure, size);
  const inkOf = (grey: Uint8Array): number => grey.reduce((sum, value) => sum + 255 - value, 0);
  let best = { difference: 255, ink: 0 };
  for (const sheet of sheets) {
    for (let shift = 0; shift < size; shift++) {
      const page = coarse(sheet, size, left, shift);
      for (let y = 0; y + small.height <= page.height; y++) {
        let difference = 0;
        for (let row = 0; row < small.height; row++)
          for (let x = 0; x < small.width; x++)
            difference += Math.abs(small.grey[row * small.width + x] - page.grey[(y + row) * page.width + x]);
        difference /= small.grey.length;
        if (difference >= best.difference) continue;
        const there = new Uint8Array(small.grey.length);
        for (let row = 0; row < small.height; row++)
          for (let x = 0; x < small.width; x++) there[row * small.width + x] = page.grey[(y + row) * page.width + x];
        best = { difference, ink: inkOf(there) / inkOf(small.grey) };
      }
    }
  }
  return best;
}

/** Prints a page as a user does, and finds each of `selector` on the sheets as the screen shows it at the sheet's width. */
async function printed(
  file: string,
  selector: string,
): Promise<{ found: Record<string, { difference: number; ink: number }>; text: string }> {
  const { page, faults } = await openPage(browser!, file, { reducedMotion: "reduce", colorScheme: "dark" });
  const pdf = join(out, "page.pdf");
  await page.pdf({ path: pdf, format: "A4", margin: { top: margin, bottom: margin, left: margin, right: margin } });
  execFileSync("pdftoppm", ["-r", "96", "-png", pdf, join(out, "sheet")]);
  const names = (await readdir(out)).filter((name) => /^sheet.*\.png$/.test(name)).sort();
  const sheets: Picture[] = [];
  for (const name of names) {
    sheets.push(await pictureOf(page, await readFile(join(out, name))));
    await rm(join(out, name));
  }
  // The same on the screen.
  await page.setViewportSize({ width: 718, height: 1000 });
  await page.emulateMedia({ media: "print", colorScheme: "light" });
  await page.evaluate(() => dispatchEvent(new Event("beforeprint")));
  expect(await page.evaluate(() => document.documentElement.scrollWidth), "wider than the sheet").toBe(718);
  const found: Record<string, { difference: number; ink: number }> = {};
  for (const element of await page.$$(selector)) {
    const name = (await element.getAttribute("id")) || (await element.getAttribute("class")) || "?";
    const box = (await element.boundingBox())!;
    const left = 38 + Math.round(box.x);
    found[name] = bestFit(await pictureOf(page, await element.screenshot()), sheets, left);
  }
  expect(faults).toEqual([]);
  return { found, text: execFileSync("pdftotext", [pdf, "-"], { encoding: "utf8" }) };
}

const figures = "figure .chart, .tiles, .bars";

for (const [drawn, runs, count] of [
  ["SVG", pageRuns, 10],
  // So many experts that the map is drawn as pixels.
  ["pixels", manyExperts(), 9],
] as const) {
  test(`every figure of the report stands on paper as on the screen, the map drawn as ${drawn}`, {
    timeout: 300_000,
  }, async (ctx) => {
    if (!browser || !hasPoppler) ctx.skip("no Chromium or no pdftoppm");
    const { page } = await writeReport(runs, out, { resamples: 100, dataset: pageDataset });
    const { found, text } = await printed(page, figures);
    expect(Object.keys(found).filter((name) => !/^(tiles|bars)/.test(name))).toHaveLength(count);
    for (const [name, { difference, ink }] of Object.entries(found)) {
      expect(difference, `${name}: ${JSON.stringify(found)}`).toBeLessThan(5);
      expect(ink, name).toBeGreaterThan(0.85);
      expect(ink, name).toBeLessThan(1.15);
    }
    // What is folded on the screen is open on paper.
    expect(text).toContain("Negative log perplexity: the mean log probability per target token");
    expect(text).toContain("Every language");
  });
}

test("the dataset's page too", { timeout: 300_000 }, async (ctx) => {
  if (!browser || !hasPoppler) ctx.skip("no Chromium or no pdftoppm");
  const { found, text } = await printed(await writeDatasetPage(pageDataset, out), ".tiles, .bars");
  expect(Object.keys(found)).toHaveLength(2);
  for (const [name, { difference, ink }] of Object.entries(found)) {
    expect(difference, name).toBeLessThan(5);
    expect(ink, name).toBeGreaterThan(0.85);
  }
  expect(text).toContain("corpus/c4-am.json.gz");
});

function manyExperts() {
  const languages = Array.from({ length: 60 }, (_, i) => `x${i}`);
  const common = { languages, steps: [0, 100, 200] };
  return [
    syntheticRun({ ...common, name: "dense", speed: () => 1 }),
    syntheticRun({ ...common, name: "switch", speed: () => 2, experts: 512 }),
  ];
}

import { describe, expect, test } from "vitest";
import { renderSvg } from "../render/renderSvg.js";
import { curveChart } from "./curveChart.js";
import { type HeatInput, heatChart } from "./heatChart.js";
import { histogramChart } from "./histogramChart.js";
import { overlayChart } from "./overlayChart.js";
import { lightPalette } from "./palette.js";

const size = { width: 800, height: 400 };
const ink = lightPalette.ink;

/** Left ends of the lines of a colour in a drawing. */
function linesOf(svg: string, colour: string): number[] {
  const paths = [...svg.matchAll(/<path [^>]*>/g)]
    .map(([path]) => path)
    .filter((path) => path.includes(`stroke="${colour}"`));
  return paths.map((path) => Number(/ d="M(-?[\d.]+) /.exec(path)?.[1]));
}

test("a mark of the histogram stands where its value is, to the pixel", () => {
  const bins = [0, 1, 2, 3].map((i) => ({ low: 0.98 + i * 0.005, high: 0.985 + i * 0.005, count: 10 }));
  const at = (value: number): number => {
    const input = {
      bins,
      name: "speed-up",
      noun: "language",
      colour: "#123456",
      marks: [{ value, label: "mean", colour: ink }],
    };
    return linesOf(
      renderSvg((context) => histogramChart(input, context), size),
      ink,
    )[0];
  };
  const [low, middle, high] = [at(0.981), at(0.9865), at(0.992)];
  expect(middle - low).toBeGreaterThan(100);
  expect(Math.abs(high - middle - (middle - low))).toBeLessThan(2);
});

test("the gap between two curves spans the two steps", () => {
  const curves = [
    {
      name: "dense",
      steps: [0, 500, 1000],
      quality: [-3, -2, -1],
      measured: [-3, -2, -1],
      colour: "#111111",
      baseline: true,
    },
    {
      name: "switch",
      steps: [0, 500, 1000],
      quality: [-3, -1, -0.5],
      measured: [-3, -1, -0.5],
      colour: "#222222",
      baseline: false,
    },
  ];
  const match = { of: "baseline", quality: -1, baselineStep: 1000, candidateStep: 500, bound: "none" } as const;
  const draw = (logarithmic: boolean): string =>
    renderSvg(
      (context) => curveChart({ curves, match: { match, speedup: 2, colour: "#abcdef" }, logarithmic }, context),
      size,
    );
  expect(draw(false)).toContain(">2.00×<");
  const [x] = linesOf(draw(false), "#abcdef");
  expect(x).toBeGreaterThan(380);
  expect(x).toBeLessThan(440);
  expect(draw(true)).toContain(">2.00×<");
});

test("outlines of several histograms are drawn in their colours, each with a mark at its mean", () => {
  const candidates = ["#123456", "#654321"].map((colour, i) => ({
    name: `c${i}`,
    counts: [1, 3 - i],
    mean: 1.5 + i,
    colour,
  }));
  const input = { edges: [0, 1.5, 3], candidates, name: "speed-up in steps", noun: "language" };
  const svg = renderSvg((context) => overlayChart(input, context), size);
  for (const { colour } of candidates) expect(svg.split(colour).length).toBeGreaterThan(3);
  const { tooltip } = overlayChart(input, { palette: lightPalette, width: 800, animate: false });
  const { formatter } = tooltip as { formatter: (params: unknown) => string };
  expect(formatter([{ axisValue: 2 }])).toMatch(/1\.50× to 3\.00×.*c0: <b>3 languages<\/b>.*c1: <b>2 languages/);
});

describe("names from files", () => {
  const evil = "<img src=x onerror=alert(1)>";

  test("are text in a drawing and in its tooltip", () => {
    const input: HeatInput = {
      rows: [{ label: evil, title: evil }],
      columns: { labels: ["0", evil], name: "expert" },
      values: [[0.5, 1.5]],
      lowest: 0,
      highest: 2,
      ends: ["2×", "0×"],
      describe: (_row, column) => `${evil} ${column}`,
    };
    expect(renderSvg((context) => heatChart(input, context), size)).not.toContain("<img");
    const { tooltip } = heatChart(input, { palette: lightPalette, width: 800, animate: false });
    const { formatter } = tooltip as { formatter: (params: unknown) => string };
    expect(formatter({ value: [1, 0, 1.5] })).toContain("&lt;img");
    expect(formatter({ value: [1, 0, 1.5] })).not.toContain("<img");
  });
});

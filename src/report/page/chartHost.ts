/// <reference lib="dom" />
/// <reference lib="dom.iterable" />
import type { ECharts, EChartsOption } from "echarts";
import type { ChartContext } from "../charts/chartBase.js";
import { initChart } from "../charts/echarts.js";
import { currentPalette, isPrinting } from "./theme.js";

/** Draws one chart into its element, and again whenever asked, resized, or the theme changes. */
export interface ChartHost {
  draw(): void;
  on(listener: (params: { name?: string; value?: unknown }) => void): void;
  /** The figure as it stands: an SVG document, or a PNG as a data URL where it is drawn as pixels; undefined before it was drawn. */
  image(): { svg: string } | { png: string } | undefined;
}

export interface ChartSource {
  option: (context: ChartContext) => EChartsOption | null;
  /** Pixels at a width; the style sheet's where left out. */
  height?: (width: number) => number;
  /** A chart that is narrower than this scrolls sideways. */
  minWidth?: () => number;
  /** Many small cells are drawn faster as pixels. */
  renderer?: "svg" | "canvas";
  /** What it shows, in words. */
  text?: () => string;
}

const still = matchMedia("(prefers-reduced-motion: reduce)");

/** Takes hold of the element `id`; null where the page has none. A hidden chart is drawn when it comes into being. */
export function chartHost(id: string, source: ChartSource): ChartHost {
  const element = document.getElementById(id);
  if (!element) return { draw: () => undefined, on: () => undefined, image: () => undefined };
  let chart: ECharts | undefined;
  // A canvas comes out blank on paper: a second chart stands in its place there.
  let paper: { chart: ECharts; sheet: HTMLElement } | undefined;
  let listener: Parameters<ChartHost["on"]>[0] | undefined;
  const draw = (animate = !still.matches): void => {
    element.style.minWidth = source.minWidth && !isPrinting() ? `${source.minWidth()}px` : "";
    const width = element.clientWidth;
    if (width === 0) return;
    if (source.height) element.style.height = `${source.height(width)}px`;
    const option = source.option({ palette: currentPalette(), width, animate, printed: isPrinting() });
    element.hidden = option === null;
    if (option === null) return;
    const own = element.firstElementChild as HTMLElement | null;
    if (isPrinting() && source.renderer === "canvas") {
      if (!paper) {
        const sheet = element.appendChild(document.createElement("div"));
        sheet.style.height = "100%";
        if (own) own.style.display = "none";
        paper = { sheet, chart: initChart(sheet, null, { renderer: "svg" }) };
      }
      paper.chart.setOption(option, { notMerge: true });
      return;
    }
    if (paper) {
      paper.chart.dispose();
      paper.sheet.remove();
      paper = undefined;
      if (own) own.style.display = "";
    }
    if (!chart) {
      chart = initChart(element, null, { renderer: source.renderer ?? "svg" });
      chart.on("click", (params) => listener?.(params as { name?: string; value?: unknown }));
    }
    chart.resize({ animation: { duration: 0 } });
    const description = source.text?.();
    const aria = description ? { enabled: true, label: { description } } : option.aria;
    chart.setOption({ ...option, aria }, { notMerge: true });
  };
  let width = 0;
  new ResizeObserver(() => {
    if (element.clientWidth === width) return;
    width = element.clientWidth;
    draw(false);
  }).observe(element);
  return {
    draw: () => draw(),
    on: (next) => {
      listener = next;
    },
    image: () => {
      if (!chart) return undefined;
      if (source.renderer !== "canvas") return { svg: chart.renderToSVGString() };
      return { png: chart.getDataURL({ type: "png", pixelRatio: 2, backgroundColor: currentPalette().page }) };
    },
  };
}

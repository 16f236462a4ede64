import type { EChartsOption } from "echarts";
import type { ChartContext } from "../charts/chartBase.js";
import { initChart } from "../charts/echarts.js";
import { lightPalette } from "../charts/palette.js";

/** Draws a chart to SVG text, without a browser, in the light palette. */
export function renderSvg(
  option: (context: ChartContext) => EChartsOption,
  { width, height }: { width: number; height: number },
): string {
  const chart = initChart(null, null, { renderer: "svg", ssr: true, width, height });
  try {
    const drawn = option({ palette: lightPalette, width, animate: false });
    chart.setOption({ ...drawn, backgroundColor: lightPalette.page });
    return `${chart.renderToSVGString()}\n`;
  } finally {
    chart.dispose();
  }
}

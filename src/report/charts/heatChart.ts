import type { EChartsOption } from "echarts";
import { times } from "../../base/format.js";
import { escapeHtml } from "../render/html.js";
import { axisStyle, type ChartContext, chartBase } from "./chartBase.js";

export interface HeatInput {
  /** Rows from the top. */
  rows: { label: string; title: string }[];
  /** Load of each expert in each row, [rows][experts]; 1 is balanced. */
  values: number[][];
}

const rowHeight = 14;
/** So that a hundred rows fit one sheet of paper. */
const printedRowHeight = 8.4;

/** Height in pixels that a heat map of so many rows wants. */
export function heatChartHeight(rows: number, printed = false): number {
  return 84 + rows * (printed && rows > 40 ? printedRowHeight : rowHeight);
}

/** Load of every expert in every row (languages or layers) as colour. */
export function heatChart({ rows, values }: HeatInput, context: ChartContext): EChartsOption {
  const { palette } = context;
  const experts = values[0].length;
  // At least twice a balanced load: an even split looks even, not dark.
  const highest = Math.max(2, ...values.map((row) => Math.max(...row)));
  const widest = Math.max(...rows.map(({ label }) => label.length));
  return {
    ...chartBase(context),
    tooltip: {
      ...chartBase(context).tooltip,
      formatter: (params) => {
        const [expert, row, load] = (params as unknown as { value: number[] }).value;
        return `<b>${escapeHtml(rows[row].title)}</b><br>expert ${expert}: ${times(load)} a balanced load<br>${((100 * load) / experts).toFixed(1)} % of the tokens`;
      },
    },
    visualMap: {
      type: "continuous",
      min: 0,
      max: highest,
      orient: "horizontal",
      left: 0,
      top: 0,
      itemWidth: 12,
      itemHeight: Math.min(180, context.width * 0.4),
      text: [`${times(highest)} a balanced load`, "0×"],
      textStyle: { color: palette.muted, fontSize: 12 },
      inRange: { color: palette.heat },
    },
    grid: { left: 14 + Math.min(widest, 16) * 7, right: 8, top: 34, bottom: 44 },
    xAxis: {
      ...axisStyle(context, "expert"),
      nameGap: 26,
      type: "category",
      data: Array.from({ length: experts }, (_, e) => String(e)),
      axisTick: { show: false },
      splitLine: { show: false },
    },
    yAxis: {
      ...axisStyle(context, ""),
      type: "category",
      inverse: true,
      data: rows.map(({ label }) => label),
      axisTick: { show: false },
      axisLabel: {
        color: palette.ink,
        fontSize: context.printed && rows.length > 40 ? 7.5 : 10.5,
        interval: 0,
        width: 110,
        overflow: "truncate",
      },
      splitLine: { show: false },
    },
    series: [
      {
        type: "heatmap",
        data: values.flatMap((row, y) => row.map((load, x) => [x, y, load])),
        itemStyle: experts * rows.length > 4000 ? {} : { borderColor: palette.page, borderWidth: 1 },
        emphasis: { itemStyle: { borderColor: palette.ink, borderWidth: 1.5 } },
        progressive: 0,
      },
    ],
  };
}

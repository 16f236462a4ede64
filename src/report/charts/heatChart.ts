import type { EChartsOption } from "echarts";
import { escapeHtml } from "../render/html.js";
import { axisStyle, type ChartContext, chartBase } from "./chartBase.js";

export interface HeatInput {
  /** Rows from the top. */
  rows: { label: string; title: string }[];
  /** Names of the columns from the left, and of what they are. */
  columns: { labels: string[]; name: string };
  /** One number a cell, [rows][columns]; null: unknown. */
  values: (number | null)[][];
  /** The numbers that have the weakest and the strongest colour. */
  lowest: number;
  highest: number;
  /** What stands at the ends of the colour scale, high and low. */
  ends: [high: string, low: string];
  /** What a cell says, in words. */
  describe: (row: number, column: number, value: number) => string;
}

const rowHeight = 14;
/** So that a hundred rows fit one sheet of paper. */
const printedRowHeight = 7.8;

/** Height in pixels that a heat map of so many rows wants. */
export function heatChartHeight(rows: number, printed = false): number {
  return 84 + rows * (printed && rows > 40 ? printedRowHeight : rowHeight);
}

/** A matrix of numbers as colour: load of every expert by language or layer, entropy of every language by layer. */
export function heatChart(
  { rows, columns, values, lowest, highest, ends, describe }: HeatInput,
  context: ChartContext,
): EChartsOption {
  const { palette } = context;
  const width = columns.labels.length;
  const widest = Math.max(...rows.map(({ label }) => label.length));
  return {
    ...chartBase(context),
    tooltip: {
      ...chartBase(context).tooltip,
      formatter: (params) => {
        const [column, row, value] = (params as unknown as { value: number[] }).value;
        return `<b>${escapeHtml(rows[row].title)}</b><br>${describe(row, column, value).split("\n").map(escapeHtml).join("<br>")}`;
      },
    },
    visualMap: {
      type: "continuous",
      min: lowest,
      max: highest,
      orient: "horizontal",
      left: 0,
      top: 0,
      itemWidth: 12,
      itemHeight: Math.min(180, context.width * 0.2),
      text: ends,
      textStyle: { color: palette.muted, fontSize: 12 },
      inRange: { color: palette.heat },
    },
    grid: { left: 14 + Math.min(widest, 16) * 7, right: 8, top: 34, bottom: 44 },
    xAxis: {
      ...axisStyle(context, columns.name),
      nameGap: 26,
      type: "category",
      data: columns.labels,
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
        fontSize: context.printed && rows.length > 40 ? 7 : 10.5,
        interval: 0,
        width: 110,
        overflow: "truncate",
      },
      splitLine: { show: false },
    },
    series: [
      {
        type: "heatmap",
        data: values.flatMap((row, y) => row.flatMap((value, x) => (value === null ? [] : [[x, y, value]]))),
        itemStyle: width * rows.length > 4000 ? {} : { borderColor: palette.page, borderWidth: 1 },
        emphasis: { itemStyle: { borderColor: palette.ink, borderWidth: 1.5 } },
        progressive: 0,
      },
    ],
  };
}

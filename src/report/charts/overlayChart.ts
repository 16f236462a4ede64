import type { EChartsOption, LineSeriesOption } from "echarts";
import { figures, plural } from "../../base/format.js";
import { escapeHtml } from "../render/html.js";
import { axisStyle, type ChartContext, chartBase, legendHeight, legendStyle } from "./chartBase.js";
import { lineStyle } from "./lineStyles.js";

export interface OverlayInput {
  /** Edges of the bins that all candidates share, [bins + 1]. */
  edges: number[];
  /** Counts of each candidate, [bins], with its mean. */
  candidates: { name: string; counts: number[]; mean: number; colour: string }[];
  /** Axis name: `speed-up in steps`. */
  name: string;
  /** What is counted: `language`. */
  noun: string;
}

/** Histograms of several candidates over each other as outlines. A dot on the axis is a candidate's mean. */
export function overlayChart({ edges, candidates, name, noun }: OverlayInput, context: ChartContext): EChartsOption {
  const { palette } = context;
  const tallest = Math.max(1, ...candidates.flatMap(({ counts }) => counts));
  const width = edges[1] - edges[0];
  const names = candidates.map(({ name: label }) => label);
  const outlines = candidates.map(({ name: label, counts, colour, mean }, i): LineSeriesOption => {
    const { dash, symbol } = lineStyle(i);
    return {
      name: label,
      type: "line",
      data: outline(edges, counts),
      color: colour,
      lineStyle: { width: 2.5, type: dash },
      areaStyle: { opacity: 0.1 },
      symbol,
      showSymbol: false,
      clip: true,
      markPoint: {
        silent: true,
        symbol,
        symbolSize: 11,
        label: { show: false },
        data: [{ name: label, coord: [mean, 0] }],
      },
    };
  });
  return {
    ...chartBase(context),
    tooltip: {
      ...chartBase(context).tooltip,
      trigger: "axis",
      axisPointer: { type: "line", lineStyle: { color: palette.muted } },
      formatter: (params) => {
        const at = Number((params as unknown as { axisValue: number }[])[0]?.axisValue);
        const bin = Math.min(
          Math.max(
            edges.findLastIndex((edge) => edge <= at),
            0,
          ),
          edges.length - 2,
        );
        const lines = candidates.map(
          ({ name: label, counts, colour }) =>
            `<span style="color:${colour}">●</span> ${escapeHtml(label)}: <b>${plural(counts[bin], noun)}</b>`,
        );
        return [`${figures(edges[bin])}× to ${figures(edges[bin + 1])}×`, ...lines].join("<br>");
      },
    },
    legend: { ...legendStyle(context, true), data: names },
    // Above the plot stands the label of the line at 1×.
    grid: { left: 44, right: 20, top: 20 + legendHeight(names, context.width), bottom: 52 },
    xAxis: {
      ...axisStyle(context, name),
      type: "value",
      min: edges[0] - width / 2,
      max: edges[edges.length - 1] + width / 2,
      splitLine: { show: false },
      axisLabel: {
        ...axisStyle(context, "").axisLabel,
        formatter: (value: number) => `${Number(value.toPrecision(6))}×`,
        showMinLabel: false,
        showMaxLabel: false,
        hideOverlap: true,
      },
    },
    yAxis: {
      ...axisStyle(context, `${noun}s`),
      nameGap: 30,
      type: "value",
      minInterval: 1,
      max: Math.ceil(tallest * 1.12),
      axisLine: { show: false },
      axisLabel: { ...axisStyle(context, "").axisLabel, showMaxLabel: false },
    },
    series: [
      ...outlines,
      {
        type: "line",
        data: [],
        markLine: {
          silent: true,
          symbol: "none",
          precision: 12,
          data: [
            {
              xAxis: 1,
              lineStyle: { color: palette.muted, width: 2, type: "dashed" },
              label: { formatter: "1×: the baseline", color: palette.muted, fontSize: 12, fontWeight: 600 },
            },
          ],
        },
      },
    ],
  };
}

/** Height of the chart of so many names at a width. Pixels. */
export function overlayHeight(names: readonly string[], width: number): number {
  return 340 + legendHeight(names, width);
}

/** Corners of a histogram's outline, from the axis back to the axis. */
function outline(edges: readonly number[], counts: readonly number[]): number[][] {
  return [
    [edges[0], 0],
    ...counts.flatMap((count, i) => [
      [edges[i], count],
      [edges[i + 1], count],
    ]),
    [edges[edges.length - 1], 0],
  ];
}

import type { CustomSeriesOption, EChartsOption } from "echarts";
import type { HistogramBin } from "../../analysis/summary.js";
import { figures, plural } from "../../base/format.js";
import { axisStyle, type ChartContext, chartBase, dataValue } from "./chartBase.js";

export interface HistogramInput {
  bins: HistogramBin[];
  /** How many of each bin's values are bounds, drawn lighter; none where left out. */
  bounds?: number[];
  /** Axis name: `step speed-up`. */
  name: string;
  /** What is counted: `language`. */
  noun: string;
  colour: string;
  /** Vertical lines. */
  marks: { value: number; label: string; colour: string; dashed?: boolean }[];
}

/** How many languages have which speed-up: the paper's Figure 8. Bars left of 1, where the candidate is slower, are grey. */
export function histogramChart(input: HistogramInput, context: ChartContext): EChartsOption {
  const { bins, marks } = input;
  const lines = [...marks].sort((a, b) => a.value - b.value);
  const tallest = Math.max(...bins.map((bin) => bin.count));
  const width = bins[0].high - bins[0].low;
  const low = Math.min(bins[0].low, ...marks.map(({ value }) => value));
  const high = Math.max(bins[bins.length - 1].high, ...marks.map(({ value }) => value));
  return {
    ...chartBase(context),
    grid: { left: 44, right: 20, top: 20 + 18 * lines.length, bottom: 52 },
    xAxis: {
      ...axisStyle(context, input.name),
      type: "value",
      min: low - width / 2,
      max: high + width / 2,
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
      ...axisStyle(context, `${input.noun}s`),
      nameGap: 30,
      type: "value",
      minInterval: 1,
      max: Math.ceil(tallest * 1.12),
      axisLine: { show: false },
      axisLabel: { ...axisStyle(context, "").axisLabel, showMaxLabel: false },
    },
    series: [
      barSeries(input, context),
      {
        type: "scatter",
        data: [],
        markLine: {
          silent: true,
          symbol: "none",
          // ECharts rounds the place of a line to two decimals unless told otherwise.
          precision: 12,
          z: 10,
          data: lines.map(({ value, label, colour, dashed }, i) => ({
            xAxis: value,
            lineStyle: { color: colour, width: 2, type: dashed ? ("dashed" as const) : ("solid" as const) },
            label: {
              formatter: label,
              color: colour,
              fontSize: 12,
              fontWeight: 600,
              position: "end" as const,
              distance: 4 + 18 * (lines.length - 1 - i),
              align: value > (low + high) / 2 ? ("right" as const) : ("left" as const),
            },
          })),
        },
      },
    ],
  };
}

function barSeries({ bins, bounds, noun, colour }: HistogramInput, { palette }: ChartContext): CustomSeriesOption {
  return {
    type: "custom",
    // Bars are marks on a value axis: a bar series would want categories.
    encode: { x: [0, 1], y: 2 },
    data: bins.map(({ low, high, count }, i) => [low, high, count, bounds?.[i] ?? 0]),
    renderItem: (_params, api) => {
      const [low, high, count, bounded] = [0, 1, 2, 3].map((dimension) => Number(api.value(dimension)));
      const [left, top] = api.coord([low, count]);
      const [right, bottom] = api.coord([high, 0]);
      const [, middle] = api.coord([low, count - bounded]);
      const fill = high <= 1 ? palette.baseline : colour;
      const bar = (y: number, end: number, opacity: number) => ({
        type: "rect" as const,
        shape: { x: left + 1, y, width: Math.max(right - left - 2, 1), height: Math.max(end - y, 0), r: 2 },
        style: { fill, opacity },
      });
      return {
        type: "group",
        children: [
          bar(middle, bottom, 1),
          bar(top, middle, 0.45),
          ...(count > 0 && right - left > 14
            ? [
                {
                  type: "text" as const,
                  style: {
                    text: String(count),
                    x: (left + right) / 2,
                    y: top - 5,
                    align: "center" as const,
                    verticalAlign: "bottom" as const,
                    fill: palette.muted,
                    fontSize: 11,
                  },
                },
              ]
            : []),
        ],
      };
    },
    tooltip: {
      formatter: (params) => {
        const [low, high, count, bounded] = dataValue(params).map(Number);
        return `<b>${plural(count, noun)}</b><br>${figures(low)}× to ${figures(high)}×${bounded > 0 ? `<br>${bounded} of them bounds` : ""}`;
      },
    },
  };
}

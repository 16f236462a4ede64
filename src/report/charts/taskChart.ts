import type { EChartsOption } from "echarts";
import { escapeHtml } from "../render/html.js";
import { axisStyle, type ChartContext, chartBase, languageAxis, legendHeight, legendStyle } from "./chartBase.js";
import { lineStyle } from "./lineStyles.js";
import { candidateColour } from "./palette.js";

export interface TaskChartInput {
  /** Axis name: `exact match, %`. */
  metric: string;
  /** In the order they are drawn. */
  languages: string[];
  /** The first is the baseline. Values by language, null where there is none, in the axis's unit. */
  models: { name: string; values: (number | null)[] }[];
}

/** A metric of a task in every language, a mark a model: fine-tuned models side by side. */
export function taskChart({ metric, languages, models }: TaskChartInput, context: ChartContext): EChartsOption {
  const { palette } = context;
  const names = models.map(({ name }) => name);
  return {
    ...chartBase(context),
    tooltip: {
      ...chartBase(context).tooltip,
      trigger: "axis",
      formatter: (params) => {
        const at = (params as unknown as { dataIndex: number }[])[0]?.dataIndex ?? 0;
        const lines = models.map(({ name, values }) => `${escapeHtml(name)}: <b>${values[at]?.toFixed(1) ?? "–"}</b>`);
        return [`<b>${escapeHtml(languages[at])}</b>`, ...lines].join("<br>");
      },
    },
    legend: { ...legendStyle(context), icon: undefined, itemWidth: 12, data: names },
    grid: { left: 56, right: 8, top: 8 + legendHeight(names, context.width), bottom: 64 },
    xAxis: {
      ...languageAxis(context, languages, 10),
      splitLine: { show: true, lineStyle: { color: palette.line, opacity: 0.5 } },
    },
    yAxis: { ...axisStyle(context, metric), nameGap: 38, type: "value", min: 0, axisLine: { show: false } },
    series: models.map(({ name, values }, i) => {
      const colour = i === 0 ? palette.baseline : candidateColour(palette, i - 1);
      return {
        name,
        type: "scatter",
        data: values.map((value, at) => [at, value]),
        symbol: i === 0 ? "circle" : lineStyle(i).symbol,
        symbolSize: 8,
        // The baseline is a ring, so that what lies on it is seen.
        itemStyle:
          i === 0 ? { color: palette.page, borderColor: colour, borderWidth: 2 } : { color: colour, opacity: 0.85 },
        color: colour,
      };
    }),
  };
}

/** Pixels that so many languages and names want. */
export function taskChartSize(input: TaskChartInput): { width: number; height: number } {
  const width = Math.max(960, 70 + input.languages.length * 13);
  return {
    width,
    height:
      340 +
      legendHeight(
        input.models.map(({ name }) => name),
        width,
      ),
  };
}

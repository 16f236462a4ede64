import type { CustomSeriesOption, EChartsOption } from "echarts";
import { figures, signed } from "../../base/format.js";
import { escapeHtml } from "../render/html.js";
import { axisStyle, type ChartContext, chartBase, dataValue, languageAxis, legendStyle } from "./chartBase.js";

export interface LanguagePair {
  code: string;
  name: string;
  baseline: number;
  candidate: number;
}

export interface LanguageChartInput {
  /** In the order they are drawn. */
  pairs: LanguagePair[];
  baselineName: string;
  candidateName: string;
  colour: string;
}

/** Final quality of baseline and candidate in every language: the paper's Figure 7, as two dots and the gap between them. */
export function languageChart(input: LanguageChartInput, context: ChartContext): EChartsOption {
  const { pairs, colour } = input;
  const { palette } = context;
  const codes = pairs.map(({ code }) => code);
  const dots = (key: "baseline" | "candidate") => pairs.map((pair) => [pair.code, pair[key]]);
  const names = new Map(pairs.map(({ code, name }) => [code, name]));
  const byCode = new Map(pairs.map((pair) => [pair.code, pair]));
  const values = pairs.flatMap(({ baseline, candidate }) => [baseline, candidate]);
  const room = (Math.max(...values) - Math.min(...values)) * 0.04 || 0.1;
  return {
    ...chartBase(context),
    tooltip: {
      ...chartBase(context).tooltip,
      trigger: "axis",
      axisPointer: { type: "shadow", shadowStyle: { color: palette.muted, opacity: 0.12 } },
      formatter: (params) => {
        const code = String(dataValue(params)[0]);
        const pair = byCode.get(code);
        if (!pair) return "";
        return `<b>${escapeHtml(names.get(code) ?? code)}</b> (${escapeHtml(code)})<br>${escapeHtml(input.candidateName)}: <b>${figures(pair.candidate)}</b><br>${escapeHtml(input.baselineName)}: <b>${figures(pair.baseline)}</b><br>gain ${signed(pair.candidate - pair.baseline)} nats a token`;
      },
    },
    legend: { ...legendStyle(context), data: [input.candidateName, input.baselineName], selectedMode: false },
    grid: { left: 56, right: 4, top: 36, bottom: 56 },
    xAxis: languageAxis(context, codes, 9),
    yAxis: {
      ...axisStyle(context, "negative log perplexity"),
      nameGap: 42,
      type: "value",
      min: Math.min(...values) - room,
      max: Math.max(...values) + room,
      axisLine: { show: false },
      axisLabel: {
        ...axisStyle(context, "").axisLabel,
        formatter: (value: number) => figures(value),
        showMinLabel: false,
        showMaxLabel: false,
      },
    },
    series: [
      gapSeries(pairs, colour, palette.baseline),
      {
        name: input.baselineName,
        type: "scatter",
        data: dots("baseline"),
        symbolSize: 7,
        itemStyle: { color: palette.page, borderColor: palette.baseline, borderWidth: 2, opacity: 1 },
        color: palette.baseline,
      },
      {
        name: input.candidateName,
        type: "scatter",
        data: dots("candidate"),
        symbolSize: 8,
        itemStyle: { color: colour, opacity: 1 },
        color: colour,
      },
    ],
  };
}

/** The gap in each language, in the colour of whoever is better. */
function gapSeries(pairs: LanguagePair[], better: string, worse: string): CustomSeriesOption {
  return {
    type: "custom",
    silent: true,
    encode: { x: 0, y: [1, 2] },
    data: pairs.map(({ code, baseline, candidate }) => [code, baseline, candidate]),
    renderItem: (_params, api) => {
      const [x, y1] = api.coord([api.value(0), api.value(1)]);
      const [, y2] = api.coord([api.value(0), api.value(2)]);
      return {
        type: "line",
        shape: { x1: x, y1, x2: x, y2 },
        style: { stroke: y2 < y1 ? better : worse, lineWidth: 2, opacity: 0.45 },
      };
    },
  };
}

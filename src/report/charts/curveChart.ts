import type { EChartsOption, LineSeriesOption } from "echarts";
import type { Speedup } from "../../analysis/speedup.js";
import { figures, tick } from "../../base/format.js";
import { markedTimes } from "../format.js";
import { escapeHtml } from "../render/html.js";
import { axisStyle, type ChartContext, chartBase, legendStyle } from "./chartBase.js";

export interface CurveInput {
  curves: { name: string; steps: number[]; quality: number[]; colour: string; baseline: boolean }[];
  /** Where the two curves are equally good, and the speed-up that this is; drawn as the gap between them. */
  match: { match: Speedup["match"]; speedup: number; colour: string } | null;
  logarithmic: boolean;
}

/** Learning curves of one language or of the mean. The horizontal gap at equal quality is the speed-up. */
export function curveChart({ curves, match, logarithmic }: CurveInput, context: ChartContext): EChartsOption {
  const { palette } = context;
  const lines = curves.map(
    ({ name, steps, quality, colour, baseline }): LineSeriesOption => ({
      name,
      type: "line",
      // A logarithmic axis has no place for step 0.
      data: steps.flatMap((step, i) => (logarithmic && step === 0 ? [] : [[step, quality[i]]])),
      color: colour,
      lineStyle: { width: baseline ? 2 : 2.5, type: baseline ? [7, 4] : "solid" },
      symbol: "circle",
      symbolSize: 5,
      showSymbol: true,
    }),
  );
  const last = lines[lines.length - 1];
  if (match) last.markLine = gapMark(match, palette.ink);
  return {
    ...chartBase(context),
    tooltip: {
      ...chartBase(context).tooltip,
      trigger: "axis",
      axisPointer: { type: "line", lineStyle: { color: palette.muted } },
      formatter: (params) => tooltip(params as unknown as TooltipRow[]),
    },
    legend: { ...legendStyle(context), data: curves.map(({ name }) => name) },
    grid: { left: 60, right: 42, top: 40, bottom: 52 },
    xAxis: {
      ...axisStyle(context, `training steps${logarithmic ? " (logarithmic)" : ""}`),
      type: logarithmic ? "log" : "value",
      ...(logarithmic ? { min: "dataMin" as const } : { min: 0 }),
      max: "dataMax",
      splitLine: { show: false },
      axisLabel: { ...axisStyle(context, "").axisLabel, formatter: (value: number) => tick(value), hideOverlap: true },
    },
    yAxis: {
      ...axisStyle(context, "negative log perplexity"),
      nameGap: 44,
      type: "value",
      scale: true,
      axisLine: { show: false },
      axisLabel: { ...axisStyle(context, "").axisLabel, formatter: (value: number) => figures(value) },
    },
    series: lines,
  };
}

interface TooltipRow {
  seriesName: string;
  value: [number, number];
  color: string;
}

function tooltip(rows: TooltipRow[]): string {
  const step = rows[0].value[0];
  const lines = rows.map(
    ({ seriesName, value, color }) =>
      `<span style="color:${color}">●</span> ${escapeHtml(seriesName)}: <b>${figures(value[1])}</b>`,
  );
  return [`step ${step.toLocaleString("en-US")}`, ...lines].join("<br>");
}

function gapMark(
  { match, speedup, colour }: NonNullable<CurveInput["match"]>,
  ink: string,
): LineSeriesOption["markLine"] {
  const { candidateStep, baselineStep, quality } = match;
  return {
    silent: true,
    // ECharts rounds the place of a line to two decimals unless told otherwise.
    precision: 12,
    symbol: ["circle", "circle"],
    symbolSize: 9,
    lineStyle: { color: colour, width: 2, type: "solid" },
    label: {
      formatter: markedTimes(speedup, match),
      position: "middle",
      color: ink,
      fontSize: 15,
      fontWeight: 700,
      distance: 6,
    },
    data: [[{ coord: [candidateStep, quality] }, { coord: [baselineStep, quality] }]],
  };
}

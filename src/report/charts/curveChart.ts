import type { EChartsOption, LineSeriesOption, ScatterSeriesOption } from "echarts";
import type { Speedup } from "../../analysis/speedup.js";
import { figures, signed, tick } from "../../base/format.js";
import { markedTimes } from "../format.js";
import { escapeHtml } from "../render/html.js";
import { axisStyle, type ChartContext, chartBase, legendHeight, legendStyle } from "./chartBase.js";
import { lineStyle } from "./lineStyles.js";

export interface CurveInput {
  curves: {
    name: string;
    steps: number[];
    /** Made to rise: what the speed-up is read off. */
    quality: number[];
    /** As measured; drawn as faint points. */
    measured: number[];
    colour: string;
    baseline: boolean;
  }[];
  /** Where the two curves are equally good, and the speed-up that this is; drawn as the gap between them. */
  match: { match: Speedup["match"]; speedup: number; colour: string } | null;
  logarithmic: boolean;
}

/** Height of the difference panel with its space, and what is above the curves, pixels. */
const panel = { height: 76, gap: 26 };

/**
 * Learning curves of one language or of the mean, and below them each candidate's difference to the baseline at the steps that both
 * have. The horizontal gap at equal quality is the speed-up. The untrained model (step 0) does not set the scale.
 */
export function curveChart({ curves: given, match, logarithmic }: CurveInput, context: ChartContext): EChartsOption {
  const { low, span, isBelow } = trainedRange(given);
  const curves = given.map((curve) => (isBelow(curve) ? { ...curve, name: `${curve.name} (below the axis)` } : curve));
  const names = curves.map(({ name }) => name);
  const { palette } = context;
  // A logarithmic axis has no place for step 0.
  const shown = (steps: number[], values: number[]): number[][] =>
    steps.flatMap((step, i) => (logarithmic && step === 0 ? [] : [[step, values[i]]]));
  const candidates = curves.filter(({ baseline }) => !baseline);
  const lines = curves.map((curve): LineSeriesOption => {
    const { symbol, dash } = curve.baseline
      ? { symbol: "emptyCircle", dash: [7, 4] }
      : lineStyle(candidates.indexOf(curve));
    return {
      name: curve.name,
      type: "line",
      clip: true,
      data: shown(curve.steps, curve.quality),
      color: curve.colour,
      lineStyle: { width: curve.baseline ? 2 : 2.5, type: dash },
      symbol,
      symbolSize: 6,
      showSymbol: true,
    };
  });
  const points = curves
    .filter(({ measured, quality }) => measured.some((value, i) => value !== quality[i]))
    .map(
      (curve): ScatterSeriesOption => ({
        name: `${curve.name}, as measured`,
        type: "scatter",
        clip: true,
        silent: true,
        data: shown(curve.steps, curve.measured),
        color: curve.colour,
        symbol: "circle",
        symbolSize: 4,
        itemStyle: { opacity: 0.45 },
        tooltip: { show: false },
      }),
    );
  const differences = differenceSeries(curves);
  const last = lines[lines.length - 1];
  if (match) last.markLine = gapMark(match, palette.ink);
  const step = (grid: number, name: string, labels: boolean) => ({
    ...axisStyle(context, name),
    gridIndex: grid,
    type: logarithmic ? ("log" as const) : ("value" as const),
    ...(logarithmic ? { min: "dataMin" as const } : { min: 0 }),
    max: "dataMax" as const,
    splitLine: { show: false },
    axisLabel: {
      ...axisStyle(context, "").axisLabel,
      show: labels,
      formatter: (value: number) => tick(value),
      hideOverlap: true,
    },
  });
  return {
    ...chartBase(context),
    tooltip: {
      ...chartBase(context).tooltip,
      trigger: "axis",
      axisPointer: { type: "line", lineStyle: { color: palette.muted } },
      formatter: (params) => tooltip(params as unknown as TooltipRow[]),
    },
    axisPointer: { link: [{ xAxisIndex: "all" }] },
    legend: { ...legendStyle(context, true), data: names },
    grid: [
      { left: 64, right: 42, top: legendHeight(names, context.width), bottom: 52 + panel.height + panel.gap },
      { left: 64, right: 42, height: panel.height, bottom: 52 },
    ],
    xAxis: [step(0, "", false), step(1, `training steps${logarithmic ? " (logarithmic)" : ""}`, true)],
    yAxis: [
      {
        ...axisStyle(context, "negative log perplexity"),
        nameGap: 46,
        type: "value",
        scale: true,
        min: low - 0.05 * span,
        axisLine: { show: false },
        axisLabel: {
          ...axisStyle(context, "").axisLabel,
          formatter: (value: number) => figures(value),
          showMinLabel: false,
        },
      },
      {
        ...axisStyle(context, "difference"),
        gridIndex: 1,
        nameGap: 46,
        type: "value",
        splitNumber: 2,
        min: ({ min }) => Math.max(min, -span),
        axisLine: { show: false },
        axisLabel: {
          ...axisStyle(context, "").axisLabel,
          formatter: (value: number) => signed(value),
          showMinLabel: false,
        },
      },
    ],
    series: [...lines, ...points, ...differences],
  };
}

/** The best quality of a curve after step 0; −∞ where it has no trained evaluation. */
function bestTrained({ steps, quality }: CurveInput["curves"][0]): number {
  return Math.max(...steps.flatMap((step, i) => (step > 0 ? [quality[i]] : [])));
}

/**
 * The range of the trained evaluations, which sets the scale: not the untrained model, and not a candidate so far below the others (one
 * that diverged) that it would press their curves together.
 */
function trainedRange(curves: CurveInput["curves"]) {
  const values = (some: CurveInput["curves"]): number[] =>
    some.flatMap(({ steps, quality, measured }) =>
      steps.flatMap((step, i) => (step > 0 ? [quality[i], measured[i]] : [])),
    );
  const [lead] = [...curves].sort((a, b) => bestTrained(b) - bestTrained(a));
  const own = values([lead]);
  const floor = Math.min(...own) - 2 * (Math.max(...own) - Math.min(...own) || 1);
  const isBelow = (curve: CurveInput["curves"][0]): boolean => !curve.baseline && bestTrained(curve) < floor;
  const shown = values(curves.filter((curve) => !isBelow(curve)));
  const [low, high] = shown.length > 0 ? [Math.min(...shown), Math.max(...shown)] : [0, 1];
  return { low, span: high - low || 1, isBelow };
}

/** Candidate less baseline, as measured, at the trained steps that both have. */
function differenceSeries(curves: CurveInput["curves"]): LineSeriesOption[] {
  const baseline = curves.find((curve) => curve.baseline);
  if (!baseline) return [];
  const reference = new Map(baseline.steps.map((step, i) => [step, baseline.measured[i]]));
  const candidates = curves.filter((curve) => !curve.baseline);
  return candidates.map(({ name, steps, measured, colour }, at): LineSeriesOption => {
    const { dash } = lineStyle(at);
    return {
      name: `${name} less ${baseline.name}`,
      type: "line",
      xAxisIndex: 1,
      yAxisIndex: 1,
      data: steps.flatMap((step, i) => {
        const other = reference.get(step);
        return other === undefined || step === 0 ? [] : [[step, measured[i] - other]];
      }),
      color: colour,
      lineStyle: { width: 1.5, type: dash },
      showSymbol: false,
      areaStyle: candidates.length === 1 ? { opacity: 0.15 } : undefined,
    };
  });
}

/** Height of the chart of so many names at a width. Pixels. */
export function curveHeight(names: readonly string[], width: number): number {
  return 470 + legendHeight(names, width);
}

interface TooltipRow {
  seriesName: string;
  value: [number, number];
  color: string;
}

function tooltip(rows: TooltipRow[]): string {
  if (rows.length === 0) return "";
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

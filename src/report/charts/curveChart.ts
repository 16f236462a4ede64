import type { EChartsOption, LineSeriesOption, ScatterSeriesOption } from "echarts";
import type { Speedup } from "../../analysis/speedup.js";
import { figures, signed, tick } from "../../base/format.js";
import { markedTimes } from "../format.js";
import { escapeHtml } from "../render/html.js";
import { axisStyle, type ChartContext, chartBase, legendStyle } from "./chartBase.js";

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

/** Lines differ by dash and symbol as well as by colour. */
const dashes = ["solid", [2, 3], [9, 3, 2, 3], [12, 3], [4, 2]] as const;
const symbols = ["circle", "triangle", "diamond", "rect", "roundRect"];

/** Height of the difference panel with its space, and what is above the curves, pixels. */
const panel = { height: 76, gap: 26 };

/**
 * Learning curves of one language or of the mean, and below them each candidate's difference to the baseline at the steps that both
 * have. The horizontal gap at equal quality is the speed-up. The untrained model (step 0) does not set the scale.
 */
export function curveChart({ curves, match, logarithmic }: CurveInput, context: ChartContext): EChartsOption {
  const { palette } = context;
  // A logarithmic axis has no place for step 0.
  const shown = (steps: number[], values: number[]): number[][] =>
    steps.flatMap((step, i) => (logarithmic && step === 0 ? [] : [[step, values[i]]]));
  const candidates = curves.filter(({ baseline }) => !baseline);
  const styleOf = ({ baseline, name }: CurveInput["curves"][0]) => {
    const at = candidates.findIndex((other) => other.name === name);
    return {
      symbol: baseline ? "emptyCircle" : symbols[at % symbols.length],
      dash: baseline ? [7, 4] : [...[dashes[at % dashes.length]].flat()],
    };
  };
  const lines = curves.map((curve): LineSeriesOption => {
    const { symbol, dash } = styleOf(curve);
    return {
      name: curve.name,
      type: "line",
      clip: true,
      data: shown(curve.steps, curve.quality),
      color: curve.colour,
      lineStyle: { width: curve.baseline ? 2 : 2.5, type: dash[0] === "solid" ? "solid" : (dash as number[]) },
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
  const differences = differenceSeries(curves, logarithmic);
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
    legend: { ...legendStyle(context), icon: undefined, itemWidth: 26, data: curves.map(({ name }) => name) },
    grid: [
      { left: 64, right: 42, top: 40, bottom: 52 + panel.height + panel.gap },
      { left: 64, right: 42, height: panel.height, bottom: 52 },
    ],
    xAxis: [step(0, "", false), step(1, `training steps${logarithmic ? " (logarithmic)" : ""}`, true)],
    yAxis: [
      {
        ...axisStyle(context, "negative log perplexity"),
        nameGap: 46,
        type: "value",
        scale: true,
        min: trainedFloor(curves),
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
        axisLine: { show: false },
        axisLabel: { ...axisStyle(context, "").axisLabel, formatter: (value: number) => signed(value) },
      },
    ],
    series: [...lines, ...points, ...differences],
  };
}

/** A little below the worst trained evaluation; undefined where there is none but the untrained one. */
function trainedFloor(curves: CurveInput["curves"]): number | undefined {
  const trained = curves.flatMap(({ steps, quality, measured }) =>
    steps.flatMap((step, i) => (step > 0 ? [quality[i], measured[i]] : [])),
  );
  if (trained.length === 0) return undefined;
  const [low, high] = [Math.min(...trained), Math.max(...trained)];
  return low - 0.05 * (high - low || 1);
}

/** Candidate less baseline, as measured, at the trained steps that both have. */
function differenceSeries(curves: CurveInput["curves"], logarithmic: boolean): LineSeriesOption[] {
  const baseline = curves.find((curve) => curve.baseline);
  if (!baseline) return [];
  const reference = new Map(baseline.steps.map((step, i) => [step, baseline.measured[i]]));
  const candidates = curves.filter((curve) => !curve.baseline);
  return candidates.map(({ name, steps, measured, colour }, at): LineSeriesOption => {
    const dash = [dashes[at % dashes.length]].flat();
    return {
      name: `${name} less ${baseline.name}`,
      type: "line",
      xAxisIndex: 1,
      yAxisIndex: 1,
      data: steps.flatMap((step, i) => {
        const other = reference.get(step);
        return other === undefined || step === 0 || (logarithmic && step === 0) ? [] : [[step, measured[i] - other]];
      }),
      color: colour,
      lineStyle: { width: 1.5, type: dash[0] === "solid" ? "solid" : ([...dash] as number[]) },
      showSymbol: false,
      areaStyle: candidates.length === 1 ? { opacity: 0.15 } : undefined,
    };
  });
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

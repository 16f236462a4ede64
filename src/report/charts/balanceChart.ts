import type { EChartsOption } from "echarts";
import { percent, tick, times } from "../../base/format.js";
import type { RoutingFacts } from "../data/routingFacts.js";
import { escapeHtml } from "../render/html.js";
import { axisStyle, type ChartContext, chartBase } from "./chartBase.js";

/**
 * Load of the busiest expert of every layer at each evaluation: 1 is perfect balance, the number of experts a collapse. The
 * chosen layer stands out from the others.
 */
export function balanceChart(
  { steps, layers }: RoutingFacts,
  chosen: number,
  colour: string,
  context: ChartContext,
): EChartsOption {
  const { palette } = context;
  return {
    ...chartBase(context),
    tooltip: {
      ...chartBase(context).tooltip,
      trigger: "axis",
      axisPointer: { type: "line", lineStyle: { color: palette.muted } },
      formatter: (params) => {
        const at = (params as unknown as { dataIndex: number }[])[0].dataIndex;
        const lines = layers.map(
          ({ layer, busiest, dropped }, i) =>
            `<span style="font-weight:${i === chosen ? 700 : 400}">${escapeHtml(layer)}: busiest ${times(busiest[at])}, dropped ${percent(dropped[at])}</span>`,
        );
        return [`step ${steps[at].toLocaleString("en-US")}`, ...lines].join("<br>");
      },
    },
    grid: { left: 52, right: 24, top: 16, bottom: 52 },
    xAxis: {
      ...axisStyle(context, "training steps"),
      type: "value",
      min: 0,
      max: "dataMax",
      splitLine: { show: false },
      axisLabel: { ...axisStyle(context, "").axisLabel, formatter: (value: number) => tick(value), hideOverlap: true },
    },
    yAxis: {
      ...axisStyle(context, "busiest expert's load"),
      nameGap: 38,
      type: "value",
      min: 1,
      axisLine: { show: false },
      axisLabel: { ...axisStyle(context, "").axisLabel, formatter: (value: number) => `${Number(value.toFixed(2))}×` },
    },
    series: layers.map(({ layer, busiest }, i) => ({
      name: layer,
      type: "line" as const,
      data: busiest.map((load, at) => [steps[at], load]),
      color: i === chosen ? colour : palette.baseline,
      lineStyle: i === chosen ? { width: 3 } : { width: 1.25, opacity: 0.6 },
      z: i === chosen ? 5 : 2,
      symbol: "circle",
      symbolSize: 5,
      showSymbol: i === chosen,
    })),
  };
}

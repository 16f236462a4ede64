import type { EChartsOption } from "echarts";
import type { Palette } from "./palette.js";

/** What a chart needs to know of where it is drawn. */
export interface ChartContext {
  palette: Palette;
  /** Pixels. */
  width: number;
  animate: boolean;
  /** For paper, where nothing scrolls. */
  printed?: boolean;
}

/** In single quotes: ECharts puts it into attributes of SVG as it is. */
export const fontFamily =
  "Inter, 'Segoe UI Variable Text', 'Segoe UI', system-ui, -apple-system, 'Helvetica Neue', 'Liberation Sans', Arial, sans-serif";

/** The parts that all charts share. */
export function chartBase({ palette, animate }: ChartContext): EChartsOption {
  return {
    animation: animate,
    animationDuration: 350,
    animationDurationUpdate: 350,
    backgroundColor: "transparent",
    textStyle: { fontFamily, color: palette.ink },
    aria: { enabled: true },
    tooltip: {
      backgroundColor: palette.surface,
      borderColor: palette.line,
      borderWidth: 1,
      padding: [8, 12],
      textStyle: { color: palette.ink, fontSize: 13, fontFamily },
      extraCssText: "box-shadow:0 4px 16px rgba(0,0,0,.14);border-radius:8px;font-variant-numeric:tabular-nums",
      confine: true,
    },
  };
}

/** Style of an axis; spread it first, then say what the axis is. */
export function axisStyle({ palette }: ChartContext, name: string) {
  return {
    name,
    nameLocation: "middle" as const,
    nameGap: 34,
    nameTextStyle: { color: palette.muted, fontSize: 12 },
    axisLine: { show: true, lineStyle: { color: palette.line } },
    axisTick: { lineStyle: { color: palette.line } },
    axisLabel: { color: palette.muted, fontSize: 12 },
    splitLine: { lineStyle: { color: palette.line, opacity: 0.7 } },
  };
}

/** An axis of languages: each named, upright, since there may be a hundred. */
export function languageAxis(context: ChartContext, languages: readonly string[], fontSize: number) {
  return {
    ...axisStyle(context, ""),
    type: "category" as const,
    data: [...languages],
    axisLabel: { color: context.palette.muted, fontSize, interval: 0, rotate: 90, margin: 6 },
    axisTick: { show: false },
  };
}

/** Pixels of a legend: a key, the gap after an item, a row, and a letter at most. */
const legend = { key: 10, lineKey: 26, gap: 18, row: 28, letter: 7.4 };

/** Style of a legend above the plot. `lines`: its keys are lines. */
export function legendStyle({ palette, width }: ChartContext, lines = false) {
  const key = lines ? legend.lineKey : legend.key;
  const most = Math.floor((width - key - legend.gap) / legend.letter);
  return {
    top: 0,
    left: 0,
    icon: lines ? undefined : "circle",
    itemWidth: key,
    itemHeight: 10,
    itemGap: legend.gap,
    formatter: (name: string) => (name.length > most ? `${name.slice(0, most - 1)}…` : name),
    textStyle: { color: palette.ink, fontSize: 13 },
    inactiveColor: palette.muted,
  };
}

/** Height of a legend of lines that wraps at `width`, with the space below it. Pixels. */
export function legendHeight(names: readonly string[], width: number): number {
  let rows = 1;
  let used = 0;
  for (const name of names) {
    const item = legend.lineKey + 5 + name.length * legend.letter + legend.gap;
    if (used > 0 && used + item > width) {
      rows++;
      used = 0;
    }
    used += item;
  }
  return 12 + legend.row * rows;
}

/** The values behind an event or a tooltip of a custom or scatter series. */
export function dataValue(params: unknown): unknown[] {
  const { value } = (Array.isArray(params) ? params[0] : params) as { value: unknown[] };
  return value;
}

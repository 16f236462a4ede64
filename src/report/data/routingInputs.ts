import { figures, times } from "../../base/format.js";
import type { HeatInput } from "../charts/heatChart.js";
import type { ReportData } from "./reportData.js";
import type { LayerFacts, RoutingFacts } from "./routingFacts.js";

/** Load of every expert in every layer. */
export function layerHeatInput(layers: readonly LayerFacts[]): HeatInput {
  const rows = layers.map(({ layer, dropped }) => ({
    label: layer,
    title: `${layer}, ${dropped.at(-1)!.toFixed(3)} dropped`,
  }));
  return loadHeat(
    rows,
    layers.map(({ load }) => load),
  );
}

/** How the languages of the expert map can be ordered. */
export const mapOrders = { expert: "the expert that serves them most", name: "name" } as const;
export type MapOrder = keyof typeof mapOrders;

/** Which experts of a layer serve which languages. Ordered by expert, languages that share one stand together. */
export function languageHeatInput(data: ReportData, { byLanguage }: LayerFacts, order: MapOrder): HeatInput {
  const lines = data.languages.map(({ code, name }, i) => {
    const load = byLanguage[i];
    const peak = Math.max(...load);
    return { row: { label: name, title: `${name} (${code})` }, load, peak, top: load.indexOf(peak) };
  });
  const byName = (a: (typeof lines)[0], b: (typeof lines)[0]): number => a.row.label.localeCompare(b.row.label, "en");
  lines.sort(order === "name" ? byName : (a, b) => a.top - b.top || b.peak - a.peak);
  const known = lines.filter(({ load }) => load.length > 0);
  return loadHeat(
    known.map(({ row }) => row),
    known.map(({ load }) => load),
  );
}

function loadHeat(rows: HeatInput["rows"], values: number[][]): HeatInput {
  const experts = values[0]?.length ?? 0;
  // At least twice a balanced load: an even split looks even, not dark.
  const highest = Math.max(2, ...values.map((row) => Math.max(...row)));
  return {
    rows,
    columns: { labels: Array.from({ length: experts }, (_, e) => String(e)), name: "expert" },
    values,
    lowest: 0,
    highest,
    ends: [`${times(highest)} a balanced load`, "0×"],
    describe: (_row, expert, load) =>
      `expert ${expert}: ${times(load)} a balanced load\n${((100 * load) / experts).toFixed(1)} % of the tokens`,
  };
}

/** How many experts each language uses in each layer: the entropy of its choice. Languages with the narrowest choice stand on top. */
export function entropyInput({ languages }: ReportData, { experts, layers }: RoutingFacts): HeatInput {
  const lines = languages.map(({ code, name }, i) => {
    const values = layers.map(({ entropy }) => entropy[i]);
    return { row: { label: name, title: `${name} (${code})` }, values, mean: meanKnown(values) };
  });
  const known = lines.filter(({ mean }) => mean !== null).sort((a, b) => a.mean! - b.mean!);
  const even = Math.log(experts);
  const lowest = Math.min(even / 2, ...known.flatMap(({ values }) => values.map((value) => value ?? even)));
  return {
    rows: known.map(({ row }) => row),
    columns: { labels: layers.map(({ layer }) => layer), name: "layer" },
    values: known.map(({ values }) => values),
    lowest,
    highest: even,
    ends: [`${figures(even)} nats: all ${experts}`, `${figures(lowest)}: as ${figures(Math.exp(lowest), 2)} experts`],
    describe: (_row, layer, entropy) =>
      `${layers[layer].layer}: ${figures(entropy)} nats of ${figures(even)}\nas many as ${figures(Math.exp(entropy), 2)} experts used alike`,
  };
}

function meanKnown(values: readonly (number | null)[]): number | null {
  const known = values.filter((value) => value !== null);
  return known.length === 0 ? null : known.reduce((sum, value) => sum + value, 0) / known.length;
}

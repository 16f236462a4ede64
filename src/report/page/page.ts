/// <reference lib="dom" />
/// <reference lib="dom.iterable" />
import type { Measure } from "../../analysis/speedup.js";
import { balanceChart } from "../charts/balanceChart.js";
import { curveChart } from "../charts/curveChart.js";
import { heatChart, heatChartHeight } from "../charts/heatChart.js";
import { histogramChart } from "../charts/histogramChart.js";
import { languageChart } from "../charts/languageChart.js";
import { candidateColour } from "../charts/palette.js";
import {
  curveInput,
  histogramInput,
  languageChartInput,
  languageHeatInput,
  layerHeatInput,
  type MapOrder,
  type PairOrder,
  publishedHistogramInput,
  publishedLanguageInput,
} from "../data/chartInputs.js";
import { balanceCsv, curveCsv, histogramCsv, loadCsv, pairsCsv } from "../data/figureCsv.js";
import { balanceText, curveText, histogramText, layersText, mapText, pairsText } from "../data/figureText.js";
import type { Level } from "../data/headline.js";
import type { CandidateFacts, ReportData } from "../data/reportData.js";
import { languageTable, type TableState, tableLines } from "../parts/languageTable.js";
import { summaryTiles } from "../parts/summaryTiles.js";
import { reportCsv } from "../render/reportCsv.js";
import { type ChartHost, chartHost } from "./chartHost.js";
import { download } from "./download.js";
import { wireRovingFocus } from "./rovingFocus.js";
import { wireTable } from "./sortableTable.js";
import { currentPalette, isPrinting, wireTheme } from "./theme.js";

const data = JSON.parse(byId("data").textContent ?? "") as ReportData;

/** What the reader has chosen. */
const state = {
  candidate: 0,
  level: "languages" as Level,
  measure: "step" as Measure,
  order: "baseline" as PairOrder,
  language: "",
  logarithmic: false,
  layer: 0,
  mapOrder: "expert" as MapOrder,
  table: { key: "step", descending: true, query: "" } as TableState,
};

const picked = (): CandidateFacts => data.candidates[state.candidate];
const refreshFocus = wireRovingFocus(byId("rows"), "tbody .pick");
const pairWidth = (languages: number): number => languages * 9.6 + 66;

/** Canvases come out blank on paper; only maps of very many cells are drawn as pixels. */
const mostCells = data.languages.length * Math.max(0, ...data.candidates.map(({ routing }) => routing?.experts ?? 0));
const mapRenderer = mostCells > 30_000 ? "canvas" : "svg";

const charts: Record<string, ChartHost> = {
  histogram: chartHost("histogram", {
    text: () => histogramText(data, picked(), state.level, state.measure),
    option: (context) =>
      histogramChart(histogramInput(data, state.candidate, state.level, state.measure, context.palette), context),
  }),
  pairs: chartHost("pairs", {
    text: () => pairsText(data, picked()),
    option: (context) =>
      languageChart(languageChartInput(data, state.candidate, state.order, context.palette), context),
    minWidth: () => pairWidth(data.languages.length),
  }),
  curve: chartHost("curve", {
    text: () => curveText(data, picked(), state.language),
    height: () => 500,
    option: (context) =>
      curveChart(curveInput(data, state.candidate, state.language, state.logarithmic, context.palette), context),
  }),
  map: chartHost("map", {
    text: () => mapText(data, picked(), state.layer),
    option: (context) => {
      const layer = picked().routing?.layers[state.layer];
      return layer ? heatChart(languageHeatInput(data, layer, state.mapOrder), context) : null;
    },
    height: () => heatChartHeight(data.languages.length, isPrinting()),
    renderer: mapRenderer,
  }),
  layers: chartHost("layers", {
    text: () => layersText(picked()),
    option: (context) => {
      const { routing } = picked();
      return routing && heatChart(layerHeatInput(routing.layers), context);
    },
    height: () => heatChartHeight(picked().routing?.layers.length ?? 0),
    renderer: mapRenderer,
  }),
  balance: chartHost("balance", {
    text: () => balanceText(picked(), state.layer),
    option: (context) => {
      const { routing } = picked();
      const colour = candidateColour(context.palette, state.candidate);
      return routing && balanceChart(routing, state.layer, colour, context);
    },
    height: () => 260,
  }),
  publishedHistogram: chartHost("published-histogram", {
    option: (context) => histogramChart(publishedHistogramInput(data, context.palette), context),
  }),
  publishedPairs: chartHost("published-pairs", {
    option: (context) => languageChart(publishedLanguageInput(data, context.palette), context),
    minWidth: () => pairWidth(data.published.figure7.length),
  }),
};

/** The numbers of each figure as it stands. */
const tables: Record<string, () => string> = {
  histogram: () => histogramCsv(data, picked(), state.level, state.measure),
  pairs: () => pairsCsv(data, picked()),
  curve: () => curveCsv(data, state.language),
  map: () => {
    const loads = picked().routing?.layers[state.layer]?.byLanguage ?? [];
    return loadCsv(loads.map((load, i) => ({ label: data.languages[i].code, load })));
  },
  layers: () => loadCsv((picked().routing?.layers ?? []).map(({ layer, load }) => ({ label: layer, load }))),
  balance: () => balanceCsv(picked()),
};

/** Everything anew: another candidate, another theme. */
function drawAll(): void {
  const root = document.documentElement;
  root.style.setProperty("--candidate", `var(--candidate-${state.candidate % currentPalette().candidates.length})`);
  drawTiles();
  drawTable();
  fillLayers();
  for (const chart of Object.values(charts)) chart.draw();
}

function drawTiles(): void {
  byId("model").textContent = picked().name;
  byId("tiles").innerHTML = summaryTiles(data, picked(), state.level).text;
}

function drawTable(): void {
  byId("rows").innerHTML = languageTable(data, picked(), state.table).text;
  refreshFocus();
  const found = tableLines(data, picked(), state.table).length;
  byId("found").textContent =
    found === data.languages.length ? `${found} in all` : `${found} of ${data.languages.length}`;
}

function fillLayers(): void {
  const select = document.getElementById("layer") as HTMLSelectElement | null;
  if (!select) return;
  const layers = picked().routing?.layers ?? [];
  byId("experts").hidden = layers.length === 0;
  state.layer = Math.min(state.layer, Math.max(layers.length - 1, 0));
  select.replaceChildren(...layers.map(({ layer }, i) => new Option(layer, String(i), false, i === state.layer)));
}

/** The address leads back to what is looked at. */
function rememberPlace(): void {
  const place = new URLSearchParams({ candidate: String(state.candidate), language: state.language });
  history.replaceState(null, "", `#${place}`);
}

/** Goes where the address leads: `#candidate=1&language=am`. @returns whether it names a language */
function followAddress(): boolean {
  const place = new URLSearchParams(location.hash.slice(1));
  const candidate = Number(place.get("candidate") ?? 0);
  if (data.candidates[candidate]) state.candidate = candidate;
  const select = document.getElementById("candidate") as HTMLSelectElement | null;
  if (select) select.value = String(state.candidate);
  const code = place.get("language") ?? "";
  if (!data.languages.some((language) => language.code === code)) return false;
  state.language = code;
  byId<HTMLSelectElement>("language").value = code;
  return true;
}

function pickLanguage(code: string, scroll: boolean): void {
  state.language = code;
  rememberPlace();
  byId<HTMLSelectElement>("language").value = code;
  charts.curve.draw();
  if (scroll) byId("curves").scrollIntoView();
}

/** The language `by` places further in the list. */
function stepLanguage(by: number): void {
  const { options, selectedIndex } = byId<HTMLSelectElement>("language");
  pickLanguage(options[(selectedIndex + by + options.length) % options.length].value, false);
}

function sortTable(key: string): void {
  const { table } = state;
  // Names rise at first, numbers fall: what a reader looks for stands on top.
  table.descending = table.key === key ? !table.descending : key !== "name";
  table.key = key;
  drawTable();
  document.querySelector<HTMLElement>(`#rows [data-sort="${key}"]`)?.focus();
}

function wire(): void {
  onChange("candidate", (value) => {
    state.candidate = Number(value);
    rememberPlace();
    drawAll();
  });
  onChange("level", (value) => {
    state.level = value as Level;
    drawTiles();
    charts.histogram.draw();
  });
  onChange("measure", (value) => {
    state.measure = value as Measure;
    charts.histogram.draw();
  });
  onChange("order", (value) => {
    state.order = value as PairOrder;
    charts.pairs.draw();
  });
  onChange("language", (value) => pickLanguage(value, false));
  onChange("layer", (value) => {
    state.layer = Number(value);
    charts.map.draw();
    charts.balance.draw();
  });
  onChange("map-order", (value) => {
    state.mapOrder = value as MapOrder;
    charts.map.draw();
  });
  byId("logarithmic").addEventListener("change", (event) => {
    state.logarithmic = (event.target as HTMLInputElement).checked;
    charts.curve.draw();
  });
  byId("previous").addEventListener("click", () => stepLanguage(-1));
  byId("next").addEventListener("click", () => stepLanguage(1));
  byId("search").addEventListener("input", (event) => {
    state.table.query = (event.target as HTMLInputElement).value;
    drawTable();
  });
  byId("rows").addEventListener("click", ({ target }) => {
    const button = (target as Element).closest<HTMLElement>("button");
    if (button?.dataset.sort) sortTable(button.dataset.sort);
    if (button?.dataset.language) pickLanguage(button.dataset.language, true);
  });
  charts.pairs.on(({ value }) => pickLanguage(String((value as unknown[])[0]), true));
  const dataset = document.querySelector<HTMLTableElement>(".dataset table");
  if (dataset) wireTable(dataset);
  wireTheme(byId<HTMLSelectElement>("theme"), drawAll);
  document.addEventListener("click", ({ target }) => {
    const { image, csv, file } = (target as HTMLElement).dataset;
    if (image) downloadImage(image);
    if (csv) download(`${csv}.csv`, { text: tables[csv](), type: "text/csv" });
    if (file === "speedups.csv") download(file, { text: reportCsv(data), type: "text/csv" });
    if (file === "speedups.json")
      download(file, { text: `${JSON.stringify(data, null, 1)}\n`, type: "application/json" });
  });
}

function downloadImage(id: string): void {
  const image = charts[id].image();
  if (!image) return;
  if ("svg" in image) download(`${id}.svg`, { text: image.svg, type: "image/svg+xml" });
  else download(`${id}.png`, { dataUrl: image.png });
}

function onChange(id: string, listener: (value: string) => void): void {
  document.getElementById(id)?.addEventListener("change", ({ target }) => {
    listener((target as HTMLSelectElement | HTMLInputElement).value);
  });
}

function byId<T extends HTMLElement>(id: string): T {
  const element = document.getElementById(id);
  if (!element) throw new Error(`internal: the page has no #${id}`);
  return element as T;
}

wire();
const linked = followAddress();
drawAll();
if (linked) byId("curves").scrollIntoView();

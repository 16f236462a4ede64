/// <reference lib="dom" />
/// <reference lib="dom.iterable" />
import type { Measure } from "../../analysis/speedup.js";
import type { PairOrder } from "../data/chartInputs.js";
import type { Level } from "../data/headline.js";
import type { MapOrder } from "../data/routingInputs.js";
import { comparisonTable } from "../parts/comparisonTable.js";
import { languageTable, tableLines } from "../parts/languageTable.js";
import { summaryTiles } from "../parts/summaryTiles.js";
import { reportCsv } from "../render/reportCsv.js";
import { byId, onChange } from "./dom.js";
import { download } from "./download.js";
import { charts, tables } from "./reportCharts.js";
import { wireRovingFocus } from "./rovingFocus.js";
import { data, picked, state } from "./state.js";
import { currentPalette, wireTheme } from "./theme.js";
import { wireDataset } from "./wireDataset.js";

const refreshFocus = wireRovingFocus(byId("rows"), "tbody .pick");
const compared = document.getElementById("compared");
const refreshCompared = compared ? wireRovingFocus(compared, ".pick") : () => undefined;

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
  if (compared) compared.innerHTML = comparisonTable(data, state.level, state.candidate).text;
  refreshCompared();
}

function pickCandidate(candidate: number): void {
  state.candidate = candidate;
  byId<HTMLSelectElement>("candidate").value = String(candidate);
  rememberPlace();
  drawAll();
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
  onChange("candidate", (value) => pickCandidate(Number(value)));
  compared?.addEventListener("click", ({ target }) => {
    const { candidate } = (target as Element).closest<HTMLElement>("[data-candidate]")?.dataset ?? {};
    if (candidate === undefined) return;
    pickCandidate(Number(candidate));
    document.querySelector<HTMLElement>(`#compared [data-candidate="${candidate}"]`)?.focus();
  });
  onChange("level", (value) => {
    state.level = value as Level;
    drawTiles();
    charts.histogram.draw();
    charts.overlay.draw();
  });
  onChange("measure", (value) => {
    state.measure = value as Measure;
    charts.histogram.draw();
    charts.overlay.draw();
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
  wireDataset();
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

wire();
const linked = followAddress();
drawAll();
if (linked) byId("curves").scrollIntoView();

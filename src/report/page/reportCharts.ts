/// <reference lib="dom" />
/// <reference lib="dom.iterable" />
import { balanceChart } from "../charts/balanceChart.js";
import { curveChart, curveHeight } from "../charts/curveChart.js";
import { heatChart, heatChartHeight } from "../charts/heatChart.js";
import { histogramChart } from "../charts/histogramChart.js";
import { languageChart } from "../charts/languageChart.js";
import { overlayChart, overlayHeight } from "../charts/overlayChart.js";
import { candidateColour } from "../charts/palette.js";
import {
  curveInput,
  histogramInput,
  languageChartInput,
  overlayInput,
  publishedHistogramInput,
  publishedLanguageInput,
} from "../data/chartInputs.js";
import {
  balanceCsv,
  curveCsv,
  entropyCsv,
  histogramCsv,
  loadCsv,
  pairsCsv,
  publishedHistogramCsv,
  publishedPairsCsv,
} from "../data/figureCsv.js";
import {
  balanceText,
  curveText,
  entropyText,
  histogramText,
  layersText,
  mapText,
  overlayText,
  pairsText,
} from "../data/figureText.js";
import { entropyInput, languageHeatInput, layerHeatInput } from "../data/routingInputs.js";
import { type ChartHost, chartHost } from "./chartHost.js";
import { data, picked, state } from "./state.js";
import { isPrinting } from "./theme.js";

const pairWidth = (languages: number): number => languages * 9.6 + 66;

/** Only maps of very many cells are drawn as pixels. */
const mostCells = data.languages.length * Math.max(0, ...data.candidates.map(({ routing }) => routing?.experts ?? 0));
const mapRenderer = mostCells > 30_000 ? "canvas" : "svg";

/** Every figure of the page by its id. */
export const charts: Record<string, ChartHost> = {
  histogram: chartHost("histogram", {
    text: () => histogramText(data, picked(), state.level, state.measure),
    option: (context) =>
      histogramChart(histogramInput(data, state.candidate, state.level, state.measure, context.palette), context),
  }),
  overlay: chartHost("overlay", {
    text: () => overlayText(data, state.level, state.measure),
    height: (width) =>
      overlayHeight(
        data.candidates.map(({ name }) => name),
        width,
      ),
    option: (context) => overlayChart(overlayInput(data, state.level, state.measure, context.palette), context),
  }),
  pairs: chartHost("pairs", {
    text: () => pairsText(data, picked()),
    option: (context) =>
      languageChart(languageChartInput(data, state.candidate, state.order, context.palette), context),
    minWidth: () => pairWidth(data.languages.length),
  }),
  curve: chartHost("curve", {
    text: () => curveText(data, picked(), state.language),
    height: (width) =>
      curveHeight(
        [data.baseline, ...data.candidates].map(({ name }) => name),
        width,
      ),
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
  entropy: chartHost("entropy", {
    text: () => entropyText(data, picked()),
    option: (context) => {
      const { routing } = picked();
      return routing && heatChart(entropyInput(data, routing), context);
    },
    height: () => heatChartHeight(data.languages.length, isPrinting()),
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
  "published-histogram": chartHost("published-histogram", {
    option: (context) => histogramChart(publishedHistogramInput(data, context.palette), context),
  }),
  "published-pairs": chartHost("published-pairs", {
    option: (context) => languageChart(publishedLanguageInput(data, context.palette), context),
    minWidth: () => pairWidth(data.published.figure7.length),
  }),
};

/** The numbers of each figure as it stands. */
export const tables: Record<string, () => string> = {
  histogram: () => histogramCsv(data, [picked()], state.level, state.measure),
  overlay: () => histogramCsv(data, data.candidates, state.level, state.measure),
  pairs: () => pairsCsv(data, picked()),
  curve: () => curveCsv(data, state.language),
  map: () => {
    const loads = picked().routing?.layers[state.layer]?.byLanguage ?? [];
    return loadCsv(loads.map((load, i) => ({ label: data.languages[i].code, load })));
  },
  entropy: () => entropyCsv(data, picked()),
  "published-histogram": () => publishedHistogramCsv(data),
  "published-pairs": () => publishedPairsCsv(data),
  layers: () => loadCsv((picked().routing?.layers ?? []).map(({ layer, load }) => ({ label: layer, load }))),
  balance: () => balanceCsv(picked()),
};

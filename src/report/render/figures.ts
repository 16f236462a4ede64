import { balanceChart } from "../charts/balanceChart.js";
import { curveChart, curveHeight } from "../charts/curveChart.js";
import { heatChart, heatChartHeight } from "../charts/heatChart.js";
import { histogramChart } from "../charts/histogramChart.js";
import { languageChart } from "../charts/languageChart.js";
import { overlayChart, overlayHeight } from "../charts/overlayChart.js";
import { candidateColour, lightPalette } from "../charts/palette.js";
import { curveInput, histogramInput, languageChartInput, overlayInput } from "../data/chartInputs.js";
import type { ReportData } from "../data/reportData.js";
import type { RoutingFacts } from "../data/routingFacts.js";
import { entropyInput, languageHeatInput, layerHeatInput } from "../data/routingInputs.js";
import { renderSvg } from "./renderSvg.js";

export interface Figure {
  /** Relative to the report: `figures/1-histogram.svg`. */
  file: string;
  title: string;
  svg: string;
}

/** Above this many experts the maps are megabytes of SVG that no one can read at a fixed width: the page has them. */
const widestMap = 32;

/** The figure that shows all candidates; none where there is only one. */
export function comparisonFigures(data: ReportData): Figure[] {
  if (data.candidates.length < 2) return [];
  const svg = renderSvg((context) => overlayChart(overlayInput(data, "languages", "step", lightPalette), context), {
    width: 960,
    height: overlayHeight(
      data.candidates.map(({ name }) => name),
      960,
    ),
  });
  return [{ file: "figures/all-histograms.svg", title: "Speed-ups in steps of all candidates", svg }];
}

/** Every figure of one candidate, as SVG. */
export function figuresOf(data: ReportData, index: number): Figure[] {
  const { routing } = data.candidates[index];
  const figures: Figure[] = [];
  const add = (name: string, title: string, svg: string): void => {
    figures.push({ file: `figures/${index + 1}-${name}.svg`, title, svg });
  };
  const palette = lightPalette;
  add(
    "histogram",
    "How many languages have which step speed-up",
    renderSvg((context) => histogramChart(histogramInput(data, index, "languages", "step", palette), context), {
      width: 960,
      height: 380,
    }),
  );
  add(
    "languages",
    "Final negative log perplexity in every language",
    renderSvg((context) => languageChart(languageChartInput(data, index, "baseline", palette), context), {
      width: Math.max(960, 70 + data.languages.length * 10.5),
      height: 400,
    }),
  );
  add(
    "curve",
    "Learning curves, mean over languages",
    renderSvg((context) => curveChart(curveInput(data, index, "", false, palette), context), {
      width: 960,
      height: curveHeight(
        [data.baseline, ...data.candidates].map(({ name }) => name),
        960,
      ),
    }),
  );
  if (!routing || routing.experts > widestMap) return figures;
  add(
    "layers",
    "Load of each expert in every layer",
    renderSvg((context) => heatChart(layerHeatInput(routing.layers), context), {
      width: 960,
      height: heatChartHeight(routing.layers.length),
    }),
  );
  add(
    "balance",
    "Load of every layer's busiest expert over training",
    renderSvg((context) => balanceChart(routing, mostUneven(routing), candidateColour(palette, index), context), {
      width: 960,
      height: 320,
    }),
  );
  add(
    "entropy",
    "Entropy of every language's choice of experts in every layer",
    renderSvg((context) => heatChart(entropyInput(data, routing), context), {
      width: 960,
      height: heatChartHeight(data.languages.length),
    }),
  );
  for (const layer of routing.layers) {
    add(
      `experts-${layer.layer.replace(/[^\w.-]/g, "_")}`,
      `Which experts serve which languages: ${layer.layer}`,
      renderSvg((context) => heatChart(languageHeatInput(data, layer, "expert"), context), {
        width: 960,
        height: heatChartHeight(data.languages.length),
      }),
    );
  }
  return figures;
}

/** The layer whose busiest expert has the highest load at the end. */
function mostUneven({ layers }: RoutingFacts): number {
  const loads = layers.map(({ busiest }) => busiest[busiest.length - 1]);
  return loads.indexOf(Math.max(...loads));
}

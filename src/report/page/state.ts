/// <reference lib="dom" />
import type { Measure } from "../../analysis/speedup.js";
import type { PairOrder } from "../data/chartInputs.js";
import type { Level } from "../data/headline.js";
import type { CandidateFacts, ReportData } from "../data/reportData.js";
import type { MapOrder } from "../data/routingInputs.js";
import type { TableState } from "../parts/languageTable.js";
import { byId } from "./dom.js";

/** What the page shows. */
export const data = JSON.parse(byId("data").textContent ?? "") as ReportData;

/** What the reader has chosen. */
export const state = {
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

/** The candidate that was chosen. */
export const picked = (): CandidateFacts => data.candidates[state.candidate];

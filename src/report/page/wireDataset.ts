/// <reference lib="dom" />
/// <reference lib="dom.iterable" />
import type { DatasetView } from "../data/datasetView.js";
import { isFoundBy } from "../data/findByName.js";
import { mixingTable } from "../parts/mixingTable.js";
import { byId, onChange } from "./dom.js";
import { wireTable } from "./sortableTable.js";

/** Lets a reader search and sort a dataset's languages and choose a mixing; nothing where the page has no dataset. */
export function wireDataset(): void {
  const table = document.querySelector<HTMLTableElement>(".dataset table");
  if (!table) return;
  wireTable(table);
  const rows = [...table.tBodies[0].rows];
  byId("dataset-search").addEventListener("input", (event) => {
    const query = (event.target as HTMLInputElement).value;
    for (const row of rows) {
      const { value = "", code = "", own = "" } = row.cells[0].dataset;
      row.hidden = !isFoundBy(query, { code, name: value, ownName: own });
    }
    const found = rows.filter(({ hidden }) => !hidden).length;
    byId("dataset-found").textContent = found === rows.length ? `${found} in all` : `${found} of ${rows.length}`;
  });
  const view = JSON.parse(byId("dataset-data").textContent ?? "") as DatasetView;
  const chosen = { strategy: 0, budget: 0 };
  for (const key of ["strategy", "budget"] as const) {
    onChange(`mixing-${key}`, (value) => {
      chosen[key] = Number(value);
      byId("mixing").innerHTML = mixingTable(view, chosen.strategy, chosen.budget).text;
    });
  }
}

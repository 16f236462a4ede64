/// <reference lib="dom" />
/// <reference lib="dom.iterable" />

/** Sorts the rows of a table by one of its columns; cells without a value stay below. */
function sortRows(body: HTMLTableSectionElement, column: number, descending: boolean): void {
  const value = (row: HTMLTableRowElement): string => row.cells[column].dataset.value ?? "";
  const rows = [...body.rows].sort((a, b) => {
    const [x, y] = [value(a), value(b)];
    if (x === "" || y === "") return x === y ? 0 : x === "" ? 1 : -1;
    const order = Number.isNaN(Number(x)) ? x.localeCompare(y, "en") : Number(x) - Number(y);
    return descending ? -order : order;
  });
  body.append(...rows);
}

/** Lets the buttons in a table's head sort its rows, by the `data-value` of their cells. */
export function wireTable(table: HTMLTableElement): void {
  const headers = [...table.tHead!.rows[0].cells];
  for (const [column, header] of headers.entries()) {
    header.querySelector("button")?.addEventListener("click", () => {
      // Numbers are looked at from the largest down.
      const first = header.classList.contains("number") ? "descending" : "ascending";
      const other = first === "descending" ? "ascending" : "descending";
      const order = header.ariaSort === first ? other : first;
      for (const one of headers) if (one.ariaSort) one.ariaSort = one === header ? order : "none";
      sortRows(table.tBodies[0], column, order === "descending");
    });
  }
}

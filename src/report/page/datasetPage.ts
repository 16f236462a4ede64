/// <reference lib="dom" />
/// <reference lib="dom.iterable" />
import { wireTable } from "./sortableTable.js";
import { wireTheme } from "./theme.js";

wireTable(document.querySelector<HTMLTableElement>(".dataset table")!);
wireTheme(document.querySelector<HTMLSelectElement>("#theme")!, () => undefined);

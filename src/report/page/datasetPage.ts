/// <reference lib="dom" />
import { byId } from "./dom.js";
import { wireTheme } from "./theme.js";
import { wireDataset } from "./wireDataset.js";

wireDataset();
wireTheme(byId<HTMLSelectElement>("theme"), () => undefined);

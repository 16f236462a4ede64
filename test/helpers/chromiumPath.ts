import { existsSync } from "node:fs";
import { delimiter, join } from "node:path";

const names = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];
const candidates = [
  process.env.CHROMIUM ?? "",
  ...(process.env.PATH ?? "").split(delimiter).flatMap((folder) => names.map((name) => join(folder, name))),
];

/** A Chromium to open pages in: CHROMIUM, or one on the PATH; undefined where there is none. */
export const chromiumPath = candidates.find((path) => path !== "" && existsSync(path));

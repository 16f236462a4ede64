/// <reference lib="dom" />
import { darkPalette, lightPalette, type Palette } from "../charts/palette.js";

const key = "mswitch-theme";
const dark = matchMedia("(prefers-color-scheme: dark)");
let printing = false;

/** The palette that the page is shown in now. Paper is light. */
export function currentPalette(): Palette {
  const chosen = document.documentElement.dataset.theme;
  const isDark = !printing && (chosen ? chosen === "dark" : dark.matches);
  return isDark ? darkPalette : lightPalette;
}

/** Whether the page is being laid out for paper, which cannot scroll. */
export function isPrinting(): boolean {
  return printing;
}

/** Lets the reader choose light, dark or the system's; `redraw` is called whenever colours change. */
export function wireTheme(select: HTMLSelectElement, redraw: () => void): void {
  const root = document.documentElement;
  select.value = root.dataset.theme ?? "";
  const apply = (theme: string): void => {
    if (theme) root.dataset.theme = theme;
    else delete root.dataset.theme;
    redraw();
  };
  select.addEventListener("change", () => {
    try {
      localStorage.setItem(key, select.value);
    } catch {
      // A page without storage forgets the choice; nothing else depends on it.
    }
    apply(select.value);
  });
  dark.addEventListener("change", redraw);
  // On paper everything is open, light, and as wide as the sheet: figures are drawn for that before the browser lays the pages out.
  let closed: HTMLDetailsElement[] = [];
  addEventListener("beforeprint", () => {
    printing = true;
    closed = [...document.querySelectorAll<HTMLDetailsElement>("details:not([open])")];
    for (const element of closed) element.open = true;
    root.classList.add("printing");
    apply("light");
  });
  addEventListener("afterprint", () => {
    printing = false;
    root.classList.remove("printing");
    for (const element of closed) element.open = false;
    apply(select.value);
  });
}

/** Colours of the page and of its charts, in light and in dark. Text colours have a contrast of at least 4.5 on `page` and `surface`. */
export interface Palette {
  page: string;
  surface: string;
  ink: string;
  muted: string;
  line: string;
  /** The baseline: quiet, since it is what everything is held against. */
  baseline: string;
  /** Candidates in order. */
  candidates: string[];
  /** The paper's own figures. */
  reference: string;
  /** Sequential scale of heat maps, low to high. */
  heat: string[];
}

export const lightPalette: Palette = {
  page: "#ffffff",
  surface: "#f6f7f8",
  ink: "#171b21",
  muted: "#58616c",
  line: "#dfe3e8",
  baseline: "#68737f",
  candidates: ["#0a5fd0", "#b8480a", "#0b7267", "#7237cf", "#a61e57"],
  reference: "#8a5a00",
  heat: ["#f1f5fa", "#c6dbf2", "#85b5e6", "#3b83cf", "#12549f", "#062e63"],
};

export const darkPalette: Palette = {
  page: "#0e1116",
  surface: "#161b22",
  ink: "#e7eaee",
  muted: "#9ba6b2",
  line: "#2b323b",
  baseline: "#98a4b1",
  candidates: ["#6cabff", "#ff9d5c", "#45cdbd", "#b99cff", "#ff86b3"],
  reference: "#e0b050",
  heat: ["#171e27", "#17365b", "#1c578f", "#2f81cc", "#79b8f2", "#d8edff"],
};

/** The palette as CSS custom properties. */
export function cssVariables(palette: Palette): string {
  const { candidates, heat: _heat, ...colours } = palette;
  const named = Object.entries(colours).map(([name, value]) => `--${name}:${value}`);
  return [...named, ...candidates.map((value, i) => `--candidate-${i}:${value}`)].join(";");
}

/** Colour of candidate number `index`; the list starts over where it is too short. */
export function candidateColour(palette: Palette, index: number): string {
  return palette.candidates[index % palette.candidates.length];
}

/** The same as a CSS value, which follows the theme. */
export function candidateVariable(index: number): string {
  return `var(--candidate-${index % lightPalette.candidates.length})`;
}

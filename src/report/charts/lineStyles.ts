/** Lines of several candidates differ by dash and symbol as well as by colour. */
const dashes = ["solid", [2, 3], [9, 3, 2, 3], [12, 3], [4, 2]] as const;
const symbols = ["circle", "triangle", "diamond", "rect", "roundRect"];

/** Dash and symbol of candidate number `index`; the lists start over where they are too short. */
export function lineStyle(index: number): { dash: "solid" | number[]; symbol: string } {
  const dash = dashes[index % dashes.length];
  return { dash: dash === "solid" ? dash : [...dash], symbol: symbols[index % symbols.length] };
}

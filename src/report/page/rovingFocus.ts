/// <reference lib="dom" />
/// <reference lib="dom.iterable" />

/**
 * One stop of the Tab key for a table of buttons: arrow keys, Home and End move among them (WAI-ARIA's roving tabindex).
 *
 * @param selector of the buttons, in the order of the rows
 */
export function wireRovingFocus(container: HTMLElement, selector: string): () => void {
  const buttons = (): HTMLElement[] => [...container.querySelectorAll<HTMLElement>(selector)];
  const refresh = (): void => {
    for (const [i, button] of buttons().entries()) button.tabIndex = i === 0 ? 0 : -1;
  };
  container.addEventListener("keydown", (event) => {
    const all = buttons();
    const at = all.indexOf(event.target as HTMLElement);
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: all.length - 1 }[event.key];
    if (at < 0 || to === undefined || !all[to]) return;
    event.preventDefault();
    all[at].tabIndex = -1;
    all[to].tabIndex = 0;
    all[to].focus();
  });
  refresh();
  return refresh;
}

/// <reference lib="dom" />

/** The element of an id that the page is known to have. */
export function byId<T extends HTMLElement>(id: string): T {
  const element = document.getElementById(id);
  if (!element) throw new Error(`internal: the page has no #${id}`);
  return element as T;
}

/** Calls `listener` with the value of a control when it changes; a page may be without the control. */
export function onChange(id: string, listener: (value: string) => void): void {
  document.getElementById(id)?.addEventListener("change", ({ target }) => {
    listener((target as HTMLSelectElement | HTMLInputElement).value);
  });
}

/// <reference lib="dom" />

/** Offers text, or the bytes of a data URL, as a file. */
export function download(name: string, content: { text: string; type: string } | { dataUrl: string }): void {
  const link = document.createElement("a");
  link.download = name;
  if ("dataUrl" in content) {
    link.href = content.dataUrl;
    link.click();
    return;
  }
  link.href = URL.createObjectURL(new Blob([content.text], { type: content.type }));
  link.click();
  // The browser fetches it when it gets to it.
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

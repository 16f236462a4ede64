/** Letters without accents and case, so that `espanol` finds `español`. */
const plain = (text: string): string => text.normalize("NFD").replace(/\p{M}/gu, "").toLowerCase();

/** Whether what a reader typed is in a language's English name, own name or code. */
export function isFoundBy(
  query: string,
  { code, name, ownName }: { code: string; name: string; ownName: string | null },
): boolean {
  return plain(`${name} ${code} ${ownName ?? ""}`).includes(plain(query.trim()));
}

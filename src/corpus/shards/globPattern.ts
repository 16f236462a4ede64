/**
 * A regular expression for a file name pattern as shells write it: `*`, `?` and `{a,b}`, not nested; all else stands for itself.
 * Node 20 has no glob of its own that is not experimental.
 */
export function globPattern(pattern: string): RegExp {
  const tokens = /\*|\?|\{[^{}]*\}|[^*?{]+|\{/g;
  const source = (pattern.match(tokens) ?? []).map((token) => {
    if (token === "*") return ".*";
    if (token === "?") return ".";
    if (token.length > 1 && token.startsWith("{")) {
      const choices = token.slice(1, -1).split(",");
      return `(?:${choices.map((choice) => globPattern(choice).source.slice(1, -1)).join("|")})`;
    }
    return token.replace(/[\\^$.|?*+()[\]{}]/g, "\\$&");
  });
  return new RegExp(`^${source.join("")}$`, "su");
}

/** A command's words and the names of its flags. */
export interface CompletedCommand {
  name: string;
  flags: readonly string[];
}

/** A shell script that completes commands, their second words and their flags. zsh runs bash's by its bashcompinit. */
export function completionScript(bin: string, commands: readonly CompletedCommand[], zsh: boolean): string {
  const words = [...new Set(commands.map(({ name }) => name.split(" ")[0]))].sort();
  const topics = words.filter((word) => commands.some(({ name }) => name.startsWith(`${word} `)));
  const branch = (pattern: string, options: readonly string[]): string =>
    `    ${pattern}) words="${options.join(" ")}" ;;`;
  const cases = [
    ...commands.map(({ name, flags }) =>
      branch(
        `"${name} "*`,
        [...flags, "help"].map((flag) => `--${flag}`),
      ),
    ),
    ...topics.map((topic) =>
      branch(
        `"${topic} "`,
        commands.filter(({ name }) => name.startsWith(`${topic} `)).map(({ name }) => name.split(" ")[1]),
      ),
    ),
    branch('""', [...words, "--help", "--version"]),
  ];
  return `${zsh ? "autoload -U +X bashcompinit && bashcompinit\n" : ""}_${bin}() {
  local typed="" words="" i current="\${COMP_WORDS[COMP_CWORD]}"
  for ((i = 1; i < COMP_CWORD; i++)); do typed+="\${COMP_WORDS[i]} "; done
  case "$typed" in
${cases.join("\n")}
  esac
  COMPREPLY=($(compgen -W "$words" -- "$current"))
}
complete -o default -F _${bin} ${bin}`;
}

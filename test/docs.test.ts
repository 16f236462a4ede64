import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { describe, expect, test } from "vitest";
import { packageRoot } from "../src/cli/packageRoot.js";

const docs = join(packageRoot, "docs");
const pages = [
  ...readdirSync(docs, { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".md"))
    .map((name) => join(docs, name)),
  ...["README.md", "CONTRIBUTING.md", "data/README.md", "packages/tfjs-backend-torch/README.md"].map((name) =>
    join(packageRoot, name),
  ),
];
const { commands } = JSON.parse(readFileSync(join(packageRoot, "oclif.manifest.json"), "utf8")) as {
  commands: Record<string, { flags: Record<string, unknown> }>;
};

/** `mswitch` commands of a page's code blocks, without comments. */
function commandsOf(text: string): string[] {
  const blocks = [...text.matchAll(/^```\w*\n([\s\S]*?)^```$/gm)].map(([, block]) => block.replaceAll("\\\n", " "));
  return blocks
    .flatMap((block) => block.split("\n"))
    .filter((line) => /^(\$ )?mswitch \w/.test(line))
    .map((line) => line.replace(/ {2,}#.*$/, ""));
}

/** GitHub's anchor of a heading. */
const anchorOf = (heading: string): string =>
  heading
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N}\s_-]/gu, "")
    .trim()
    .replaceAll(/\s/g, "-");

describe.each(pages.map((page) => relative(packageRoot, page)))("%s", (name) => {
  const page = join(packageRoot, name);
  const text = readFileSync(page, "utf8");

  test("its commands and flags exist", () => {
    const unknown = commandsOf(text).flatMap((line) => {
      const words = line.replace(/^\$ /, "").split(/\s+/).slice(1);
      const id = [words.slice(0, 2).join(":"), words[0]].find((known) => commands[known]);
      if (!id) return /^(COMMAND|help)$/.test(words[0]) ? [] : [`${line}: no such command`];
      const flags = line.match(/(?<=[\s[])--[a-z][a-z-]*/g) ?? [];
      return flags
        .filter((flag) => flag !== "--help" && !(flag.replace(/^--(no-)?/, "") in commands[id].flags))
        .map((flag) => `${line}: no flag ${flag}`);
    });
    expect(unknown).toEqual([]);
  });

  test("its links lead to files and headings that are there", () => {
    const links = [...text.replaceAll(/^```[\s\S]*?^```$/gm, "").matchAll(/\]\((?!https?:)([^)\s]+)\)/g)].map(
      ([, link]) => link,
    );
    const broken = links.filter((link) => {
      const [path, anchor] = link.split("#");
      const target = path === "" ? page : join(dirname(page), path);
      if (!existsSync(target)) return true;
      if (!anchor || !target.endsWith(".md")) return false;
      const headings = [...readFileSync(target, "utf8").matchAll(/^#+ (.*)$/gm)].map(([, heading]) =>
        anchorOf(heading),
      );
      return !headings.includes(anchor);
    });
    expect(broken).toEqual([]);
  });
});

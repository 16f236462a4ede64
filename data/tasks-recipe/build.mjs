// Builds data/tasks anew: text-to-text pairs from three packages, which it installs into a folder of its own.
//
//   node data/tasks-recipe/build.mjs [FOLDER]
import { execFileSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { gzipSync } from "node:zlib";

const packages = { n2words: "4.0.0", "cldr-annotations-full": "48.2.0", "unicode-emoji-json": "0.9.0" };
const root = fileURLToPath(new URL("../..", import.meta.url));
const out = join(root, "data/tasks");

const folder = process.argv[2] ?? mkdtempSync(join(tmpdir(), "mswitch-tasks-"));
const installed = join(folder, "node_modules");
if (Object.keys(packages).some((name) => !existsSync(join(installed, name)))) {
  const wanted = Object.entries(packages).map(([name, version]) => `${name}@${version}`);
  execFileSync("npm", ["install", "--prefix", folder, "--no-audit", "--no-fund", ...wanted], { stdio: "inherit" });
}
const mc4Codes = new Set(JSON.parse(readFileSync(join(root, "data/languages.json"), "utf8")).map(({ code }) => code));

/** A number below 2^32 for a name, always the same (FNV-1a). */
function hashOf(name) {
  let hash = 0x811c9dc5;
  for (const byte of Buffer.from(name)) hash = Math.imul(hash ^ byte, 0x01000193) >>> 0;
  return hash;
}

function writeTask(task, language, splits) {
  const directory = join(out, task, language);
  mkdirSync(directory, { recursive: true });
  for (const [split, pairs] of Object.entries(splits)) {
    if (pairs.length === 0) continue;
    const text = pairs.map((pair) => `${JSON.stringify(pair)}\n`).join("");
    const packed = gzipSync(text, { level: 9 });
    // The operating system's byte of the header, which differs between machines.
    packed[9] = 255;
    writeFileSync(join(directory, `${split}.jsonl.gz`), packed);
  }
}

/** n2words names locales; of several of a language one was chosen. */
const localeOf = {
  en: "en-US",
  es: "es-ES",
  fr: "fr-FR",
  zh: "zh-Hans-CN",
  iw: "he-IL",
  no: "nb-NO",
  sr: "sr-Cyrl-RS",
};
const notTaken = new Set(["hbo-IL", "zh-Hant-TW"]);

/** Numbers by split: the same in every language, none in two splits, of one to six digits. */
function numbersBySplit() {
  const sizes = { train: 400, validation: 40, test: 60 };
  const taken = new Set();
  const numbers = {};
  let draw = 0;
  for (const split of ["test", "validation", "train"]) {
    numbers[split] = [];
    while (numbers[split].length < sizes[split]) {
      const digits = 1 + (hashOf(`digits ${draw}`) % 6);
      const number = hashOf(`number ${draw++}`) % 10 ** digits;
      if (taken.has(number)) continue;
      taken.add(number);
      numbers[split].push(number);
    }
  }
  return numbers;
}

async function buildNumbers() {
  const files = readdirSync(join(installed, "n2words/dist")).filter(
    (name) => name.endsWith(".js") && !name.endsWith(".umd.js"),
  );
  const locales = files.map((name) => name.replace(".js", "")).filter((locale) => !notTaken.has(locale));
  const chosen = new Map();
  for (const locale of locales) {
    const language = locale
      .split("-")
      .filter((part) => !/^[A-Z]{2}$/.test(part))
      .join("-");
    const code = { he: "iw", nb: "no", "zh-Hans": "zh", "sr-Cyrl": "sr" }[language] ?? language;
    if (localeOf[code] === undefined || localeOf[code] === locale) chosen.set(code, locale);
  }
  const numbers = numbersBySplit();
  for (const [code, locale] of [...chosen].sort()) {
    const { toCardinal } = await import(pathToFileURL(join(installed, "n2words/dist", `${locale}.js`)).href);
    const splits = {};
    for (const [split, values] of Object.entries(numbers)) {
      splits[split] = values.map((value, i) => {
        const words = toCardinal(value);
        return i % 2 === 0
          ? { inputs: `spell ${code}: ${value}`, targets: words }
          : { inputs: `read: ${words}`, targets: String(value) };
      });
    }
    writeTask("numbers", code, splits);
  }
  return chosen.size;
}

/** Every third emoji of Unicode's list; a fifth of them to test on, a tenth for validation: no emoji is in two splits, in any language. */
function emojiGroups() {
  const list = JSON.parse(readFileSync(join(installed, "unicode-emoji-json/data-by-emoji.json"), "utf8"));
  return Object.entries(list)
    .filter((_, i) => i % 3 === 0)
    .map(([emoji, { group }], i) => ({
      emoji,
      group: group.toLowerCase(),
      split: i % 10 < 2 ? "test" : i % 10 === 2 ? "validation" : "train",
    }));
}

function buildEmoji() {
  const groups = emojiGroups();
  const codeOf = { he: "iw" };
  let languages = 0;
  for (const locale of readdirSync(join(installed, "cldr-annotations-full/annotations")).sort()) {
    const code = codeOf[locale] ?? locale;
    if (!mc4Codes.has(code)) continue;
    const path = join(installed, "cldr-annotations-full/annotations", locale, "annotations.json");
    const names = JSON.parse(readFileSync(path, "utf8")).annotations.annotations;
    const splits = { train: [], validation: [], test: [] };
    for (const { emoji, group, split } of groups) {
      const name = (names[emoji] ?? names[emoji.replaceAll("\ufe0f", "")])?.tts?.[0];
      if (name) splits[split].push({ inputs: `emoji group: ${name}`, targets: group });
    }
    // Of some languages only a few names were translated.
    if (splits.train.length < 150) continue;
    writeTask("emoji", code, splits);
    languages++;
  }
  return languages;
}

rmSync(join(out, "numbers"), { recursive: true, force: true });
rmSync(join(out, "emoji"), { recursive: true, force: true });
const [numbers, emoji] = [await buildNumbers(), buildEmoji()];
mkdirSync(join(out, "licences"), { recursive: true });
for (const name of Object.keys(packages)) {
  cpSync(join(installed, name, "LICENSE"), join(out, "licences", `${name}.txt`));
}
console.log(`numbers in ${numbers} languages, emoji in ${emoji}: ${out}`);

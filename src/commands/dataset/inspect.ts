import { Args, Flags } from "@oclif/core";
import type { InspectReport, LanguageTokens, ShownDocument } from "../../analysis/tokenStatistics.js";
import { stderrLog } from "../../base/log.js";
import { parseNames } from "../../cli/flagValues.js";
import { MswitchCommand } from "../../cli/mswitchCommand.js";
import { tableLines } from "../../cli/table.js";

/** Documents of a language that is named are shown where nothing else is asked for. */
const defaultDocuments = 3;
/** Tokens of a document shown on the terminal; the page and --json have more. */
const terminalTokens = 80;
const documentsAWrite = 500;
const sparks = " ▁▂▃▄▅▆▇█";

export default class DatasetInspect extends MswitchCommand {
  static override summary = "Show what a tokenized dataset holds: token statistics by language, and documents.";

  static override description =
    `For each language: tokens a byte, tokens a word (fertility), the share of unknown tokens and of tokens that spell single bytes, and how long the documents are. Words are what stands between spaces; Burmese, Chinese, Japanese, Khmer, Lao and Thai, marked *, write none.

Sources with the licence that they state, the days of their documents, what was set aside, and how each strategy of mixing would share a run among the languages are in --json and on the page of --out. Warnings say what to know before training: languages of many byte tokens, without validation text, of few documents.

Documents are shown with the file and line they came from, their pieces and ids. They are spread evenly over the language. With --out, the same goes into a page that opens in a browser.`;

  static override examples = [
    { description: "All languages as a table", command: "<%= config.bin %> <%= command.id %> tokens" },
    {
      description: "Five documents of Afrikaans and the statistics, as a page",
      command: "<%= config.bin %> <%= command.id %> tokens --language af --documents 5 --out report",
    },
    {
      description: "A look at a large dataset: ten token files of each language",
      command: "<%= config.bin %> <%= command.id %> tokens --shards 10 --json | jq '.total.fertility'",
    },
  ];

  static override args = { dataset: Args.string({ description: "folder of the dataset", required: true }) };

  static override flags = {
    language: Flags.string({
      summary: "Languages of the dataset separated by commas, of pairs as numbers.af. Default: all.",
      helpValue: "af,am",
    }),
    documents: Flags.integer({
      summary: `Documents to show of each language. Default: ${defaultDocuments} where --language is given, or else none.`,
      min: 0,
    }),
    shards: Flags.integer({ summary: "Read only the first so many token files of each language.", min: 1 }),
    vocab: Flags.string({
      summary: "The SentencePiece model it was made with. Default: the dataset's own copy.",
      helpValue: "FILE.model",
    }),
    out: Flags.string({ summary: "Also write a page, dataset.html, into this folder.", helpValue: "DIR" }),
  };

  async run(): Promise<InspectReport & { page?: string }> {
    const { args, flags } = await this.parse(DatasetInspect);
    const { requireWritableFolder } = await import("../../base/files/makeDirectory.js");
    const { describeDataset } = await import("../../stream/describeDataset.js");
    if (flags.out !== undefined) requireWritableFolder(flags.out, "the page");
    const report = await describeDataset(args.dataset, {
      languages: flags.language === undefined ? undefined : parseNames(flags.language, "--language"),
      documents: flags.documents ?? (flags.language === undefined ? 0 : defaultDocuments),
      shards: flags.shards,
      vocab: flags.vocab,
    });
    const { datasetWarnings } = await import("../../report/data/datasetWarnings.js");
    const { lengthBin, withoutSpaces } = await import("../../analysis/tokenStatistics.js");
    const { languages, total, documents } = report;
    const head = [
      "language",
      "files",
      "documents",
      "tokens",
      "bytes",
      "tokens/byte",
      "tokens/word",
      "unknown",
      "byte tokens",
    ];
    const row = (one: LanguageTokens): string[] => [
      one.language,
      one.shards < one.allShards ? `${one.shards}/${one.allShards}` : String(one.shards),
      ...[one.documents, one.tokens, one.bytes].map((count) => count.toLocaleString("en-US")),
      one.tokensPerByte?.toFixed(4) ?? "-",
      `${one.fertility?.toFixed(2) ?? "-"}${withoutSpaces.has(one.language) ? "*" : " "}`,
      percent(one.unknownRate),
      percent(one.byteFallbackRate),
      one.meanTokens?.toFixed(0) ?? "-",
      sparkline(one.lengths, total.lengths.length),
    ];
    const rows = [[...head, "mean length", "lengths"], ...languages.map(row), row(total)];
    for (const line of tableLines(rows)) this.log(line);
    if (total.documents > 0) {
      this.log(`lengths: documents of 0, 1, 2–3, 4–7, … ${lengthBin(total.lengths.length - 1)} tokens`);
    }
    for (const warning of datasetWarnings(report)) stderrLog.warn(warning);
    // A write for each of ten thousand documents would take longer than all else.
    for (let i = 0; i < documents.length; i += documentsAWrite) {
      this.log(
        documents
          .slice(i, i + documentsAWrite)
          .map(documentLines)
          .join("\n"),
      );
    }
    if (flags.out === undefined) return report;
    const { writeDatasetPage } = await import("../../report/render/writeDatasetPage.js");
    const page = await writeDatasetPage(report, flags.out);
    this.log(page);
    return { ...report, page };
  }
}

function documentLines({ language, split, source, line, bytes, tokens, ids, pieces, text }: ShownDocument): string {
  const shown = Math.min(pieces.length, terminalTokens);
  let spelt = "";
  for (let i = 0; i < shown; i++) spelt += ` ${pieces[i]}:${ids[i]}`;
  const cut = tokens > shown ? ` … ${tokens - shown} more` : "";
  return `
${language} ${split}  ${source} line ${line}  ${tokens} tokens, ${bytes} bytes
  ${JSON.stringify(text)}
 ${spelt.replace(/\p{Cc}/gu, "\u{fffd}")}${cut}`;
}

function percent(share: number | null): string {
  return share === null ? "-" : `${(100 * share).toFixed(2)}%`;
}

/** A bar a bin, as high as its share of the highest one; a bin that is not empty shows. */
function sparkline(counts: number[], bins: number): string {
  const most = Math.max(...counts, 1);
  return Array.from({ length: bins }, (_, k) => sparks[Math.ceil((8 * (counts[k] ?? 0)) / most)]).join("");
}

import { Flags } from "@oclif/core";
import { exitCode, usageError } from "../../base/errors.js";
import { stderrLog } from "../../base/log.js";
import { withInterrupt } from "../../cli/interrupt.js";
import { MswitchCommand } from "../../cli/mswitchCommand.js";
import type { TrainedVocabulary } from "../../vocab/train/trainVocabulary.js";

/** Special pieces and bytes, and at least one piece to write text with. */
const smallestSize = 3 + 256 + 1;

export default class VocabTrain extends MswitchCommand {
  static override summary = "Train a SentencePiece vocabulary on mC4 shards, as mT5's was.";

  static override description =
    `Samples sentences of the training shards, language by language with shares p ∝ documents^alpha, and runs SentencePiece's own trainer on them: spm_train if it is on the PATH, or else the Python package sentencepiece. Options are mT5's: unigram pieces, byte fallback, nmt_nfkc normalization, pad 0, eos 1, unk 2, no bos; T5's 100 sentinels are counted down from above the pieces.

Prints how many bytes of each language make a token. The same shards, options, seed and version of SentencePiece give the same file.`;

  static override examples = [
    {
      description: "32,000 pieces for every language that is there",
      command: "<%= config.bin %> <%= command.id %> --source corpus --size 32000 --out my.model",
    },
    {
      description: "mT5's size, for two languages, with the Python package of a virtual environment",
      command:
        "<%= config.bin %> <%= command.id %> --source /mc4 --languages af,am --size 250000 --out af-am.model --python ~/venv/bin/python",
    },
  ];

  static override flags = {
    source: Flags.string({
      summary:
        "What `mswitch preprocess` takes: directory, shard, pattern or address of shards, hf:allenai/c4, or with --language files of any name. May be given several times. Only training shards are read.",
      multiple: true,
      required: true,
      helpValue: "DIR|GLOB|URL",
    }),
    language: Flags.string({
      summary: "Take files of any name as text of this language: an mC4 code or a BCP 47 code such as hr.",
      helpValue: "CODE",
      exclusive: ["languages"],
    }),
    "text-field": Flags.string({ summary: "Field or column that holds the text. Default: text.", helpValue: "NAME" }),
    "validation-every": Flags.integer({
      summary:
        "With --language and no file named validation: every N-th document is left out, as in preprocess; 0 for none.",
      default: 100,
      min: 0,
      helpValue: "N",
    }),
    size: Flags.integer({
      summary: "Pieces, 3 special and 256 byte pieces among them (mT5: 250000).",
      required: true,
      min: smallestSize,
    }),
    out: Flags.string({ summary: "File to write.", required: true, helpValue: "FILE.model" }),
    languages: Flags.string({
      summary: "mC4 codes separated by commas, or all that the source has.",
      default: "all",
      helpValue: "all|af,am",
    }),
    alpha: Flags.string({
      summary:
        "Exponent of the languages' shares: 1 follows the number of documents, 0 makes all equal. Default: 1/3.3, mT5's.",
    }),
    "max-sentences": Flags.integer({ summary: "Lines of text to train on, at most.", default: 1_000_000, min: 1 }),
    "max-bytes": Flags.string({
      summary: "Compressed bytes to read at most; of a larger corpus some shards of each language are chosen.",
      default: "10GB",
      helpValue: "BYTES",
    }),
    "cache-dir": Flags.string({
      summary: "Where downloaded shards lie. Default: ~/.cache/mswitch/shards.",
      helpValue: "DIR",
    }),
    coverage: Flags.string({
      summary: "Share of all characters that get a piece of their own; the rarer ones are spelt in bytes.",
      default: "0.99999",
    }),
    seed: Flags.integer({ summary: "Chooses the sentences.", default: 1, min: 0 }),
    python: Flags.string({
      summary: "Python that has the package sentencepiece, to be used instead of spm_train.",
      helpValue: "FILE",
    }),
  };

  async run(): Promise<TrainedVocabulary> {
    const { flags } = await this.parse(VocabTrain);
    const alpha = flags.alpha === undefined ? 1 / 3.3 : numberBetween("alpha", flags.alpha, 0, 1);
    const coverage = numberBetween("coverage", flags.coverage, 0.9, 1);
    const { parseBytes } = await import("../../cli/flagValues.js");
    const { createProgress } = await import("../../base/progress.js");
    const { requireLanguageCode, requireLanguages } = await import("../../corpus/shards/languages.js");
    const { trainVocabulary } = await import("../../vocab/train/trainVocabulary.js");
    const result = await withInterrupt((signal) =>
      trainVocabulary({
        sources: flags.source,
        languages: flags.languages === "all" ? undefined : requireLanguages(flags.languages),
        language: flags.language === undefined ? undefined : requireLanguageCode(flags.language),
        textField: flags["text-field"],
        validationEvery: flags["validation-every"],
        maxBytes: parseBytes(flags["max-bytes"], "--max-bytes"),
        cacheDir: flags["cache-dir"],
        progress: (parts) => createProgress({ parts, rates: [{ label: "MB/s", scale: 1e-6 }] }),
        size: flags.size,
        out: flags.out,
        alpha,
        maxSentences: flags["max-sentences"],
        coverage,
        seed: flags.seed,
        python: flags.python,
        log: stderrLog,
        signal,
      }),
    );
    this.log("language  documents  sentences      bytes     tokens  bytes/token");
    for (const { language, documents, sentences, bytes, tokens, bytesPerToken } of result.languages) {
      const columns = [documents, sentences, bytes, tokens].map((n, i) => String(n).padStart(i < 2 ? 11 : 11));
      this.log(`${language.padEnd(8)}${columns.join("")}${bytesPerToken.toFixed(2).padStart(13)}`);
    }
    this.log(`${result.out}: ${result.size} pieces, made by ${result.trainer}`);
    if (result.rejected > 0) this.exitWith(exitCode.quarantined);
    return result;
  }
}

function numberBetween(flag: string, text: string, low: number, high: number): number {
  const fraction = /^\s*([\d.]+)\s*\/\s*([\d.]+)\s*$/.exec(text);
  const value = fraction ? Number(fraction[1]) / Number(fraction[2]) : Number(text);
  if (text.trim() !== "" && value >= low && value <= high) return value;
  throw usageError(`--${flag} ${text} is not a number between ${low} and ${high}`, {
    code: "flag-invalid",
    hint: `--${flag} 0.99, or --${flag} 1/3.3`,
  });
}

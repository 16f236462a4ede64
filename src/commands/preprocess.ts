import { Flags } from "@oclif/core";
import { exitCode } from "../base/errors.js";
import { stderrLog } from "../base/log.js";
import { keepYoungGenerationSmall } from "../base/youngGeneration.js";
import { parseNames, parseTask } from "../cli/flagValues.js";
import { withInterrupt } from "../cli/interrupt.js";
import { MswitchCommand } from "../cli/mswitchCommand.js";
import type { PreprocessPlan } from "../dataset/preprocess/planPreprocess.js";
import type { PreprocessSummary } from "../dataset/preprocess/preprocessSummary.js";

export default class Preprocess extends MswitchCommand {
  static override summary = "Tokenize mC4 shards into a dataset for training.";

  static override description =
    `Reads shards named c4-CODE[-validation].tfrecord-IIIII-of-NNNNN.json.gz (or .json.zst, .jsonl.gz, .jsonl, …: one JSON object a line with a "text" field) and writes a folder that \`mswitch pretrain\` trains from: dataset.json, one Arrow file a shard (OUT/CODE/SPLIT-IIIII-of-NNNNN.arrow, readable by pyarrow, DuckDB and pandas), a copy of the vocabulary, and quarantine.jsonl.

Lines and shards that cannot be read are set aside, counted and listed in quarantine.jsonl with file, line and cause; nothing else is lost, and the exit code is 3. A shard that cannot be opened or downloaded, or whose worker dies, is left out and named, and the exit code is 1.

Every shard is finished on its own and durably. Stopped at any moment, the same command goes on where it stopped; run again, it redoes only what is missing or changed. Any number of processes, on any number of machines, may work on one folder: give each its --task. The files are the same to the byte for any number of workers, tasks and interruptions.`;

  static override examples = [
    {
      description: "Every language that is there, with one worker a core",
      command: "<%= config.bin %> <%= command.id %> --source corpus --vocab vocab/sample.model --out data/tokens",
    },
    {
      description: "Two languages' training shards, two of them at a time",
      command:
        "<%= config.bin %> <%= command.id %> --source 'corpus/c4-{af,am}*' --vocab mt5.model --out tokens --languages af,am --split train --workers 2",
    },
    {
      description: "Public mC4: what two languages would take on four machines, before anything is read",
      command:
        "<%= config.bin %> <%= command.id %> --source hf:allenai/c4 --languages af,am --vocab mt5.model --out tokens --plan --nodes 4 --workers 16",
    },
    {
      description: "A corpus of one's own in Croatian, its text in the column content",
      command:
        "<%= config.bin %> <%= command.id %> --language hr --source croatian/ --text-field content --vocab hr.model --out tokens",
    },
    {
      description: "Text-to-text pairs to fine-tune on: the shipped number spelling in three languages",
      command:
        "<%= config.bin %> <%= command.id %> --pairs --source data/tasks --tasks numbers --languages en,fr,sw --vocab vocab/sample.model --out numbers",
    },
    {
      description: "A corpus on a server of one's own; its index page lists the shards",
      command: "<%= config.bin %> <%= command.id %> --source https://example.org/mc4/ --vocab mt5.model --out tokens",
    },
    {
      description: "One of a hundred jobs of a Slurm array (0 to 99); run once without --task to mend what failed",
      command:
        "<%= config.bin %> <%= command.id %> --source /mc4 --vocab mt5.model --out /scratch/tokens --task $SLURM_ARRAY_TASK_ID/100",
    },
  ];

  static override flags = {
    source: Flags.string({
      summary:
        "Directory, shard or pattern ('corpus/c4-{af,am}*.json.gz'); address of a listing, a shard or a template with {code}, {index} … ; or hf:allenai/c4, the public copy of mC4. May be given several times.",
      multiple: true,
      required: true,
      helpValue: "DIR|GLOB|URL",
    }),
    vocab: Flags.string({ summary: "SentencePiece model.", required: true, helpValue: "FILE.model" }),
    out: Flags.string({
      summary: "Folder of the dataset: a new one, or one that an earlier run began.",
      required: true,
      helpValue: "DIR",
    }),
    language: Flags.string({
      summary:
        "Take files of any name (.jsonl, .txt, .csv, .tsv, .parquet) as text of this language: an mC4 code or a BCP 47 code such as hr.",
      helpValue: "CODE",
      exclusive: ["languages"],
    }),
    "text-field": Flags.string({
      summary: "Field or column that holds the text. Default: text.",
      helpValue: "NAME",
    }),
    pairs: Flags.boolean({
      summary:
        "The sources are folders of text-to-text pairs for fine-tuning, TASK/LANGUAGE/{train,validation,test}.jsonl (.csv, .tsv, .parquet).",
      exclusive: ["language", "text-field"],
    }),
    "inputs-field": Flags.string({
      summary: "With --pairs: field or column of the inputs. Default: inputs.",
      helpValue: "NAME",
      dependsOn: ["pairs"],
    }),
    "targets-field": Flags.string({
      summary: "With --pairs: field or column of the targets. Default: targets.",
      helpValue: "NAME",
      dependsOn: ["pairs"],
    }),
    tasks: Flags.string({
      summary: "With --pairs: tasks separated by commas, or all that the source has.",
      helpValue: "numbers,emoji",
      dependsOn: ["pairs"],
    }),
    "validation-every": Flags.integer({
      summary: "With --language and no file named validation: every N-th document goes there; 0 for none.",
      default: 100,
      min: 0,
      helpValue: "N",
    }),
    languages: Flags.string({
      summary: "Language codes separated by commas, or all that the source has.",
      default: "all",
      helpValue: "all|af,am",
    }),
    split: Flags.string({
      summary: "Splits to take, separated by commas. Default: train,validation; with --pairs also test.",
      helpValue: "train,validation",
    }),
    workers: Flags.integer({ summary: "Shards worked on at a time, each in a thread. Default: one a core.", min: 1 }),
    task: Flags.string({
      summary: "Work only on share I, counted from 0, of N equal shares of the shards.",
      helpValue: "I/N",
    }),
    "max-line-bytes": Flags.integer({ summary: "Longer lines are set aside. Default: 2 MiB.", min: 1 }),
    connections: Flags.integer({
      summary: "Downloads at a time. Default: 8.",
      min: 1,
      helpGroup: "NETWORK",
    }),
    "cache-dir": Flags.string({
      summary: "Where downloaded shards lie. Default: ~/.cache/mswitch/shards.",
      helpValue: "DIR",
      helpGroup: "NETWORK",
    }),
    "cache-size": Flags.string({
      summary: "Downloaded shards to keep beyond those in use; the least recently used go first.",
      default: "32GB",
      helpValue: "BYTES",
      helpGroup: "NETWORK",
    }),
    plan: Flags.boolean({
      summary: "Print tasks, bytes, time and disk for a cluster, and do nothing else.",
      exclusive: ["pairs"],
      helpGroup: "PLAN",
    }),
    nodes: Flags.integer({
      summary: "Machines, each with --workers and one task. Default: 1.",
      min: 1,
      dependsOn: ["plan"],
      helpGroup: "PLAN",
    }),
    speed: Flags.string({
      summary: "MB of JSON text a worker does in a second. Default: what one core was measured to do.",
      dependsOn: ["plan"],
      helpValue: "MB/s",
      helpGroup: "PLAN",
    }),
    yes: Flags.boolean({
      char: "y",
      summary: "Download also more than 100 GB.",
      helpGroup: "NETWORK",
    }),
    verify: Flags.boolean({
      summary: "Read sources and finished shards again and compare their hashes, instead of trusting size and time.",
    }),
  };

  async run(): Promise<PreprocessSummary | PreprocessPlan> {
    const { flags } = await this.parse(Preprocess);
    const { parseBytes, parseSpeed, parseSplits } = await import("../cli/flagValues.js");
    const { source: sources, vocab, out, workers, connections, verify, nodes = 1 } = flags;
    const { pairs } = flags;
    const cacheBytes = parseBytes(flags["cache-size"], "--cache-size");
    const corpus = {
      sources,
      ...(await chosenLanguages(flags)),
      splits: parseSplits(flags.split ?? (pairs ? "train,validation,test" : "train,validation")),
      textField: flags["text-field"],
      validationEvery: flags["validation-every"],
    };
    const common = { ...corpus, vocab, workers, connections, cacheBytes, log: stderrLog };
    if (flags.plan) {
      const { printPlan } = await import("../dataset/preprocess/printPlan.js");
      const { planPreprocess } = await import("../dataset/preprocess/planPreprocess.js");
      const speed = flags.speed === undefined ? undefined : parseSpeed(flags.speed);
      const plan = await withInterrupt((signal) => planPreprocess({ ...common, nodes, speed, signal }));
      this.log(printPlan(plan));
      return plan;
    }
    const task = flags.task === undefined ? undefined : parseTask(flags.task);
    const fields = pairs
      ? { inputs: flags["inputs-field"] ?? "inputs", targets: flags["targets-field"] ?? "targets" }
      : undefined;
    const { "max-line-bytes": maxLineBytes, "cache-dir": cacheDir } = flags;
    const { createProgress } = await import("../base/progress.js");
    const { preprocess } = await import("../dataset/preprocess/preprocess.js");
    const { printSummary } = await import("../dataset/preprocess/printSummary.js");
    keepYoungGenerationSmall();
    const rates = [
      { label: "MB/s", scale: 1e-6 },
      { label: "ktok/s", scale: 1e-3 },
    ];
    const summary = await withInterrupt((signal) =>
      preprocess({
        ...{ ...common, out, task, maxLineBytes, verify, cacheDir, signal, yes: flags.yes },
        ...{ pairs: fields, tasks: flags.tasks === undefined ? undefined : parseNames(flags.tasks, "--tasks") },
        progress: (parts) => createProgress({ parts, rates }),
      }),
    );
    this.log(printSummary(summary));
    if (summary.failed > 0) this.exitWith(exitCode.failed);
    else if (summary.total.rejected > 0) this.exitWith(exitCode.quarantined);
    return summary;
  }
}

/** The language flags, checked. The table of languages is loaded only for them: with its schema it is most of a short run's start. */
async function chosenLanguages(flags: {
  languages: string;
  language?: string;
  pairs: boolean;
}): Promise<{ languages?: string[]; language?: string }> {
  if (flags.languages === "all" && flags.language === undefined) return {};
  // A task may be in languages that mC4 has not.
  if (flags.pairs) return { languages: parseNames(flags.languages, "--languages") };
  const { requireLanguageCode, requireLanguages } = await import("../corpus/shards/languages.js");
  return {
    languages: flags.languages === "all" ? undefined : requireLanguages(flags.languages),
    language: flags.language === undefined ? undefined : requireLanguageCode(flags.language),
  };
}

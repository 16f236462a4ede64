import { Flags } from "@oclif/core";
import { exitCode, usageError } from "../base/errors.js";
import { stderrLog } from "../base/log.js";
import { keepYoungGenerationSmall } from "../base/youngGeneration.js";
import { withInterrupt } from "../cli/interrupt.js";
import { MswitchCommand } from "../cli/mswitchCommand.js";
import { parseTask } from "../cli/parseTask.js";
import type { Split } from "../corpus/shards/shard.js";
import type { PreprocessPlan } from "../dataset/preprocess/planPreprocess.js";
import type { LanguageSummary, PreprocessSummary } from "../dataset/preprocess/preprocessSummary.js";

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
        "<%= config.bin %> <%= command.id %> --source mc4 --languages af,am --vocab mt5.model --out tokens --plan --nodes 4 --workers 16",
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
        "Directory, shard or pattern ('corpus/c4-{af,am}*.json.gz'); address of a listing, a shard or a template with {code}, {index} … ; or mc4, the public copy. May be given several times.",
      multiple: true,
      required: true,
      helpValue: "DIR|GLOB|URL|mc4",
    }),
    vocab: Flags.string({ summary: "SentencePiece model.", required: true, helpValue: "FILE.model" }),
    out: Flags.string({
      summary: "Folder of the dataset: a new one, or one that an earlier run began.",
      required: true,
      helpValue: "DIR",
    }),
    languages: Flags.string({
      summary: "mC4 codes separated by commas, or all that the source has.",
      default: "all",
      helpValue: "all|af,am",
    }),
    split: Flags.string({
      summary: "Splits to take, separated by commas.",
      default: "train,validation",
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
    verify: Flags.boolean({
      summary: "Read sources and finished shards again and compare their hashes, instead of trusting size and time.",
    }),
  };

  async run(): Promise<PreprocessSummary | PreprocessPlan> {
    const { flags } = await this.parse(Preprocess);
    const splits = parseSplits(flags.split);
    const cacheBytes = parseBytes(flags["cache-size"], "--cache-size");
    const task = flags.task === undefined ? undefined : parseTask(flags.task);
    const languages =
      flags.languages === "all"
        ? undefined
        : (await import("../corpus/shards/languages.js")).requireLanguages(flags.languages);
    if (flags.plan) {
      const { printPlan } = await import("../dataset/preprocess/printPlan.js");
      const { planPreprocess } = await import("../dataset/preprocess/planPreprocess.js");
      const { source: sources, vocab, nodes = 1, workers, connections } = flags;
      const speed = flags.speed === undefined ? undefined : parseSpeed(flags.speed);
      const wanted = { sources, vocab, languages, splits, nodes, workers, speed, connections, cacheBytes };
      const plan = await withInterrupt((signal) => planPreprocess({ ...wanted, signal }));
      this.log(printPlan(plan));
      return plan;
    }
    keepYoungGenerationSmall();
    const { createProgress } = await import("../base/progress.js");
    const { preprocess } = await import("../dataset/preprocess/preprocess.js");
    const rates = [
      { label: "MB/s", scale: 1e-6 },
      { label: "ktok/s", scale: 1e-3 },
    ];
    const summary = await withInterrupt((signal) =>
      preprocess({
        sources: flags.source,
        vocab: flags.vocab,
        out: flags.out,
        languages,
        splits,
        workers: flags.workers,
        task,
        maxLineBytes: flags["max-line-bytes"],
        verify: flags.verify,
        connections: flags.connections,
        cacheDir: flags["cache-dir"],
        cacheBytes,
        log: stderrLog,
        progress: (parts) => createProgress({ parts, rates }),
        signal,
      }),
    );
    this.print(summary);
    if (summary.failed > 0) this.exitWith(exitCode.failed);
    else if (summary.total.rejected > 0) this.exitWith(exitCode.quarantined);
    return summary;
  }

  private print({
    out,
    complete,
    languages,
    total,
    tokenized,
    skipped,
    rejected,
    quarantine,
    failures,
    cost,
  }: PreprocessSummary): void {
    const rows: [string, LanguageSummary][] = [...Object.entries(languages), ["total", total]];
    this.log(formatRow(["language", "shards", "documents", "tokens", "bytes", "tokens/byte", "set aside"]));
    for (const [name, sum] of rows) {
      const density = sum.bytes > 0 ? (sum.tokens / sum.bytes).toFixed(4) : "-";
      this.log(formatRow([name, sum.shards, sum.documents, sum.tokens, sum.bytes, density, sum.rejected]));
    }
    this.log("");
    if (total.rejected > 0) {
      const causes = Object.entries(rejected).map(([cause, count]) => `${cause} ${count}`);
      const place = quarantine ? `listed in ${quarantine}` : "listed in quarantine.jsonl when the last task is done";
      this.log(`${total.rejected} set aside (${causes.join(", ")}), ${place}`);
    }
    if (tokenized > 0) this.log(costLine(cost));
    for (const { file, why } of failures) this.log(`left out: ${file}: ${why}`);
    if (failures.length > 0) this.log("run the same command again to try the shards that were left out");
    const state = complete ? "dataset.json is written" : "dataset.json is written when the last task is done";
    this.log(`${out}: ${tokenized} shards tokenized, ${skipped} were done already; ${state}`);
  }
}

/** What the workers' time went to. */
function costLine({ seconds, inflatedBytes }: PreprocessSummary["cost"]): string {
  const all = Object.values(seconds).reduce((sum, one) => sum + one, 0);
  const shares = Object.entries(seconds).map(([stage, spent]) => `${stage} ${((100 * spent) / all).toFixed(0)} %`);
  const rate = (inflatedBytes / 1e6 / all).toFixed(1);
  return `${rate} MB of JSON a second and worker; its time: ${shares.join(", ")}`;
}

const columnWidths = [10, 7, 12, 16, 17, 12, 10];

function formatRow(cells: (string | number)[]): string {
  return cells
    .map((cell, i) => {
      const text = typeof cell === "number" ? cell.toLocaleString("en-US") : cell;
      return i === 0 ? text.padEnd(columnWidths[i]) : text.padStart(columnWidths[i]);
    })
    .join("");
}

function parseSplits(list: string): Split[] {
  return list.split(",").map((name) => {
    const split = name.trim();
    if (split !== "train" && split !== "validation") {
      throw usageError(`unknown split ${split}`, {
        code: "flag-invalid",
        where: "--split",
        hint: "give train, validation or both: train,validation",
      });
    }
    return split;
  });
}

function parseBytes(text: string, where: string): number {
  const match = /^(\d+(?:\.\d+)?)\s*([kMGT]?)(i?)B?$/i.exec(text.trim());
  if (!match)
    throw usageError(`${text} is no size`, {
      code: "flag-invalid",
      where,
      hint: "give bytes, or such as 500MB, 32GB, 1TiB",
    });
  const power = ["", "k", "m", "g", "t"].indexOf(match[2].toLowerCase());
  return Number(match[1]) * (match[3] ? 1024 : 1000) ** power;
}

function parseSpeed(text: string): number {
  const speed = Number(text);
  if (speed > 0 && Number.isFinite(speed)) return speed;
  throw usageError(`${text} is no speed`, { code: "flag-invalid", where: "--speed", hint: "give MB/s, such as 35" });
}

import { resolve } from "node:path";
import { Args, Flags } from "@oclif/core";
import type { Summary } from "../analysis/summary.js";
import type { InspectReport } from "../analysis/tokenStatistics.js";
import { usageError } from "../base/errors.js";
import { stderrLog } from "../base/log.js";
import { MswitchCommand } from "../cli/mswitchCommand.js";
import type { Run } from "../run/readRun.js";

interface ReportResult {
  page: string;
  baseline: string;
  candidates: {
    name: string;
    finished: boolean;
    finding: string;
    headline: string;
    tasks: Summary;
    languages: Summary;
  }[];
}

export default class Report extends MswitchCommand {
  static override summary = "Compare runs with a baseline: how much sooner are they as good, language by language?";
  static override description =
    "Writes index.html (one self-contained page), report.md with figures/*.svg, speedups.csv and speedups.json. Runs must share vocabulary, dataset and validation examples. They are compared over the steps that all of them have. Runs that differ in their seed only are averaged, and their spread enters the intervals.";
  static override examples = [
    "<%= config.bin %> <%= command.id %> runs/dense runs/switch8 --out report",
    "<%= config.bin %> <%= command.id %> runs/dense runs/switch8 runs/switch32 --out report --json",
    "<%= config.bin %> <%= command.id %> runs/dense runs/switch8 --out report --watch",
  ];
  static override usage =
    "<%= command.id %> BASELINE RUN... --out DIR [--dataset DIR] [--watch] [--json] [--resamples N]";
  static override strict = false;
  static override args = {
    baseline: Args.string({ required: true, description: "run directory of the baseline" }),
    runs: Args.string({ required: true, description: "run directories of the candidates, one or more" }),
  };
  static override flags = {
    out: Flags.string({ required: true, helpValue: "DIR", description: "where the report goes" }),
    dataset: Flags.string({
      helpValue: "DIR",
      description: "also show the tokenized dataset that the runs learned from: token statistics of every language",
    }),
    watch: Flags.boolean({
      description: "serve the page on this machine while the runs train, and make it anew after each evaluation",
    }),
    port: Flags.integer({
      default: 0,
      min: 0,
      max: 65_535,
      description: "of --watch, on 127.0.0.1; 0 takes a free one",
    }),
    resamples: Flags.integer({
      default: 1000,
      min: 100,
      max: 100_000,
      description: "bootstrap resamples of the validation examples, for the intervals",
    }),
  };

  async run(): Promise<ReportResult | undefined> {
    const { argv, flags } = await this.parse(Report);
    const [baselineDir, ...dirs] = argv as string[];
    const places = [baselineDir, ...dirs].map((dir) => resolve(dir));
    const twice = dirs.find((_, i) => places.indexOf(places[i + 1]) !== i + 1);
    if (twice) throw usageError("a run is named twice", { code: "duplicate-run", where: twice });
    const { readRun } = await import("../run/readRun.js");
    const { writeReport } = await import("../report/render/writeReport.js");
    const { caveats, finding, headline, verdict } = await import("../report/data/headline.js");
    const { requireWritableFolder } = await import("../base/files/makeDirectory.js");
    await refuseRunDirectory(flags.out);
    if (flags.watch) return this.watch([baselineDir, ...dirs], flags);
    const runs = await Promise.all([baselineDir, ...dirs].map(readRun));
    requireWritableFolder(flags.out, "the report");
    const { data, page } = await writeReport(runs, flags.out, {
      resamples: flags.resamples,
      dataset: flags.dataset === undefined ? undefined : await inspectDatasetOf(runs[0], flags.dataset),
    });
    for (const candidate of data.candidates) {
      this.log(`${finding(data, candidate, "languages")}.`);
      this.log(`${headline(data, candidate, "languages")}.`);
      this.log(verdict(data, candidate, "languages"));
      for (const caveat of caveats(data, candidate, "languages")) stderrLog.warn(caveat);
    }
    this.log(page);
    return {
      page,
      baseline: data.baseline.name,
      candidates: data.candidates.map((candidate) => ({
        name: candidate.name,
        finished: candidate.finished,
        finding: finding(data, candidate, "languages"),
        headline: headline(data, candidate, "languages"),
        ...candidate.summaries,
      })),
    };
  }

  /** Serves the page until Ctrl-C. */
  private async watch(
    dirs: string[],
    flags: { out: string; port: number; resamples: number; dataset?: string },
  ): Promise<undefined> {
    const { readRun } = await import("../run/readRun.js");
    const { writeReport } = await import("../report/render/writeReport.js");
    const { withInterrupt } = await import("../cli/interrupt.js");
    const { watchReport } = await import("../cli/watchReport.js");
    const { readFile } = await import("node:fs/promises");
    let dataset: InspectReport | undefined;
    const render = async (): Promise<string> => {
      const runs = await Promise.all(dirs.map(readRun));
      if (flags.dataset !== undefined) dataset ??= await inspectDatasetOf(runs[0], flags.dataset);
      const { page } = await writeReport(runs, flags.out, { resamples: flags.resamples, dataset });
      return readFile(page, "utf8");
    };
    await withInterrupt((signal) =>
      watchReport({ runs: dirs, render, port: flags.port, interval: 1000, log: stderrLog, signal }),
    );
  }
}

/** @throws usageError where the report would be written into a run's directory */
async function refuseRunDirectory(out: string): Promise<void> {
  const { existsSync } = await import("node:fs");
  const { join } = await import("node:path");
  const { runFile } = await import("../run/runFiles.js");
  if (!existsSync(join(out, runFile.description))) return;
  throw usageError("the report would be written into a run directory", {
    code: "output-unusable",
    where: out,
    why: `it holds ${runFile.description}`,
    hint: "name a folder of its own with --out",
  });
}

/** @throws usageError where the run learned from another dataset */
async function inspectDatasetOf(run: Run, dir: string): Promise<InspectReport> {
  const { readManifest } = await import("../dataset/read/openDataset.js");
  const { datasetFingerprint } = await import("../dataset/format/manifest.js");
  if (datasetFingerprint(await readManifest(dir)) !== run.description.dataset) {
    throw usageError("the runs learned from another dataset", {
      code: "dataset-run-mismatch",
      where: dir,
      why: `what it holds is not what ${run.dir} was trained on`,
      hint: "name the folder that stands under `dataset` in the run's config.yaml",
    });
  }
  const { describeDataset } = await import("../stream/describeDataset.js");
  return describeDataset(dir);
}

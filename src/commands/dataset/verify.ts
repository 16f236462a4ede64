import { Args } from "@oclif/core";
import { exitCode } from "../../base/errors.js";
import { MswitchCommand } from "../../cli/mswitchCommand.js";
import type { VerifySummary } from "../../dataset/check/verifyDataset.js";

export default class DatasetVerify extends MswitchCommand {
  static override summary = "Read a tokenized dataset in full and say whether it is whole.";

  static override description =
    `Holds the vocabulary against its fingerprint; every token file against its hash, size, number of rows and tokens, and every id against the vocabulary's size; every shard's record against dataset.json; totals and quarantine.jsonl against the records; and looks for token files and records that dataset.json does not list. The sources are not needed.

Each fault is named with its file, what is wrong, and what to do; the exit code is then 1. \`mswitch preprocess --verify\` holds the sources against their hashes as well, and redoes what is damaged.`;

  static override examples = [
    "<%= config.bin %> <%= command.id %> tokens",
    "<%= config.bin %> <%= command.id %> tokens --json | jq '.faults[].file'",
  ];

  static override args = { dataset: Args.string({ description: "folder of the dataset", required: true }) };

  async run(): Promise<VerifySummary> {
    const { args } = await this.parse(DatasetVerify);
    const { createProgress } = await import("../../base/progress.js");
    const { verifyDataset } = await import("../../dataset/check/verifyDataset.js");
    const rates = [{ label: "MB/s", scale: 1e-6 }];
    const summary = await verifyDataset(args.dataset, { progress: (parts) => createProgress({ parts, rates }) });
    const { dir, whole, shards, documents, tokens, faults } = summary;
    for (const { file, fault, hint } of faults) this.log(`${file} ${fault}\n  try: ${hint}`);
    const [files, rows, ids] = [shards, documents, tokens].map((count) => count.toLocaleString("en-US"));
    const found = whole ? "whole" : `${faults.length} ${faults.length === 1 ? "fault" : "faults"}`;
    this.log(`${dir}: ${found}; ${files} token files are good, with ${rows} documents and ${ids} tokens`);
    if (!whole) this.exitWith(exitCode.failed);
    return summary;
  }
}

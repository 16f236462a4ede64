import { Args, Flags } from "@oclif/core";
import { MswitchCommand } from "../../cli/mswitchCommand.js";
import type { VocabularyReport } from "../../vocab/inspectVocabulary.js";

export default class VocabInspect extends MswitchCommand {
  static override summary = "Show what a SentencePiece model holds, and how it cuts a text.";

  static override description =
    "Checks the model and prints its type, pieces by kind, normalization, special ids, T5's sentinels and the rows an embedding needs. With --text, also the pieces and ids of that text, and what they decode to.";

  static override examples = [
    "<%= config.bin %> <%= command.id %> vocab/sample.model",
    "<%= config.bin %> <%= command.id %> vocab/sample.model --text 'All human beings are born free'",
    "<%= config.bin %> <%= command.id %> mt5.model --json | jq .vocabulary.sentinelIds[0]",
  ];

  static override args = { model: Args.string({ description: "SentencePiece .model file.", required: true }) };

  static override flags = {
    text: Flags.string({ summary: "Text to encode." }),
  };

  async run(): Promise<VocabularyReport> {
    const { args, flags } = await this.parse(VocabInspect);
    const { inspectVocabulary } = await import("../../vocab/inspectVocabulary.js");
    const report = await inspectVocabulary(args.model, flags.text);
    const { vocabulary, normalization, pieces, longestPiece, encoded } = report;
    const { sentinelIds, padId, eosId, unkId, size, embeddingRows } = vocabulary;
    const rows: [string, string][] = [
      ["model", `${report.modelType}${report.byteFallback ? ", falls back to bytes" : ""}`],
      [
        "pieces",
        `${size}: ${Object.entries(pieces)
          .map(([kind, count]) => `${count} ${kind}`)
          .join(", ")}`,
      ],
      ["longest piece", JSON.stringify(longestPiece)],
      [
        "normalization",
        `${normalization.name || "none"}; ${normalization.flags.join(", ") || "white space kept as it is"}`,
      ],
      ["special ids", `pad ${padId ?? "none"}, eos ${eosId ?? "none"}, unk ${unkId}`],
      [
        "sentinels",
        `${sentinelIds.length}, ${sentinelIds[0]} down to ${sentinelIds.at(-1)}${report.sentinelsInModel ? "" : ", above the pieces"}`,
      ],
      ["embedding rows", String(embeddingRows)],
      ["sha256", vocabulary.fingerprint],
    ];
    for (const [name, value] of rows) this.log(`${name.padEnd(15)} ${value}`);
    if (report.unusable) this.log(`cannot be used for preprocess and pretrain: ${report.unusable}`);
    if (encoded) {
      this.log("");
      for (const { id, piece } of encoded.tokens) this.log(`${String(id).padStart(8)}  ${piece}`);
      this.log(`${encoded.tokens.length} tokens, ${encoded.bytes} bytes; decoded: ${JSON.stringify(encoded.decoded)}`);
    }
    return report;
  }
}

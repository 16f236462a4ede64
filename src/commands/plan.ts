import { Args, Flags } from "@oclif/core";
import { usageError } from "../base/errors.js";
import { MswitchCommand } from "../cli/mswitchCommand.js";
import type { Hardware } from "../plan/cluster/hardware.js";
import type { ClusterPlan, ClusterRun } from "../plan/cluster/planCluster.js";
import type { SpeedupPlan } from "../plan/sparsity/planSpeedup.js";
import type { RunConfig } from "../train/config/runConfig.js";
import type { SimulatedWorld } from "../train/probe/simulateWorld.js";

export default class Plan extends MswitchCommand {
  static override summary = "Plan a training run on described hardware: memory, traffic, time a step, days.";
  static override description =
    `Nothing is trained and no device is needed. The mesh says how ranks share the run: the batch is split over data × expert ranks,
each layer's experts over expert ranks, feed-forward layers, heads and vocabulary over model ranks. Without --mesh the fastest mesh that fits into
memory is taken. docs/scale.md says how the figures are made and how far they can be trusted.

--speed-up says instead how many times sooner a model with experts in every layer reaches what the run's dense twin reaches by its end, for each
number of experts, and which number is best: by a scaling law (docs/studies.md): of this program's own runs where one is fitted, and by the published constants.`;
  static override examples = [
    "<%= config.bin %> <%= command.id %> pipelines/mswitch-base.yaml --hardware h100 --nodes 4",
    "<%= config.bin %> <%= command.id %> pipelines/mswitch-base.yaml --hardware tpu-v3 --nodes 4 --mesh expert=32",
    "<%= config.bin %> <%= command.id %> pipelines/mt5-base.yaml --hardware my-cluster.yaml --json",
    "<%= config.bin %> <%= command.id %> pipelines/demo-switch.yaml --simulate-world 16 --mesh expert=16",
    "<%= config.bin %> <%= command.id %> pipelines/small-dense.yaml --speed-up --set steps=20000",
  ];
  static override args = {
    run: Args.string({ required: true, description: "the run's YAML file" }),
  };
  static override flags = {
    hardware: Flags.string({
      default: "h100",
      helpValue: "NAME|FILE",
      description: "h100, h200, a100, tpu-v3, or a YAML file like those in data/hardware",
    }),
    nodes: Flags.integer({ default: 1, min: 1, max: 100_000, description: "nodes of that hardware" }),
    mesh: Flags.string({
      helpValue: "data=D,expert=E,model=M,zero=1",
      description: "ranks on each axis, and whether they share the optimizer's state",
    }),
    "simulate-world": Flags.integer({
      min: 1,
      max: 1_000_000,
      helpValue: "N",
      exclusive: ["nodes", "speed-up"],
      description: "take ranks of N processes through one step here, without peers: their memory, their collectives",
    }),
    measure: Flags.boolean({
      exclusive: ["simulate-world", "speed-up"],
      description:
        "time a rank's step here, without peers, and plan from it; links and memory are still the hardware's",
    }),
    "speed-up": Flags.boolean({
      description: "what experts would gain at this size and number of steps",
      exclusive: ["mesh", "nodes"],
    }),
    set: Flags.string({ multiple: true, helpValue: "PATH=VALUE", description: "a key of the file with another value" }),
  };

  async run(): Promise<ClusterPlan | SpeedupPlan | SimulatedWorld> {
    const { args, flags } = await this.parse(Plan);
    const { readRunConfig } = await import("../train/config/runConfig.js");
    const { readHardware } = await import("../plan/cluster/hardware.js");
    const { bestMesh, planCluster } = await import("../plan/cluster/planCluster.js");
    const { fittingMeshes, meshFaults, meshSize, meshText, parseMesh } = await import("../distributed/mesh.js");
    const hardware = readHardware(flags.hardware);
    const config = await readRunConfig(args.run, { sets: flags.set });
    const run = await clusterRun(config);
    if (flags["speed-up"]) return await this.planSpeedup(run, hardware);
    if (flags["simulate-world"] !== undefined) {
      return await this.simulate(config, run, flags["simulate-world"], flags.mesh);
    }
    const devices = flags.nodes * hardware.devicesPerNode;
    if (flags.mesh === undefined) {
      const plan = bestMesh(run, devices, hardware, config.mesh?.zero);
      if (!plan) {
        throw usageError(`the run does not fit on ${devices} × ${hardware.name}`, {
          code: "plan-does-not-fit",
          why:
            fittingMeshes(devices, run.model, run.batchSize).length === 0
              ? "no mesh of so many ranks divides batch, experts, heads and vocabulary"
              : "every mesh that divides the model needs more memory than a device has",
          hint: "more --nodes, another --hardware, a smaller stream.batchSize",
        });
      }
      return await this.show(plan, run, config, flags.measure);
    }
    const mesh = parseMesh(flags.mesh);
    const faults = meshFaults(mesh, run.model, run.batchSize);
    if (faults.length > 0) {
      const fit = fittingMeshes(meshSize(mesh), run.model, run.batchSize, mesh.zero).slice(0, 3).map(meshText);
      throw usageError("the mesh does not fit the run", {
        code: "mesh-not-fitting",
        where: `--mesh ${flags.mesh}`,
        why: faults.join("; "),
        ...(fit.length > 0 ? { hint: `of so many ranks these fit: ${fit.join(" or ")}` } : {}),
      });
    }
    const plan = await this.show(planCluster(run, mesh, hardware), run, config, flags.measure);
    if (!plan.fits) {
      const better = bestMesh(run, meshSize(mesh), hardware, mesh.zero);
      const instead = better ? `${meshText(better.mesh)} would fit` : "no mesh of so many ranks would";
      process.stderr.write(`warning: a rank needs more memory than ${hardware.name} has; ${instead}\n`);
    }
    return plan;
  }

  /** The plan, from a rank's step that is timed here where that is asked for. */
  private async show(plan: ClusterPlan, run: ClusterRun, config: RunConfig, measure: boolean): Promise<ClusterPlan> {
    const { describeCluster } = await import("../plan/cluster/describeCluster.js");
    let shown = plan;
    if (measure) {
      const { planCluster } = await import("../plan/cluster/planCluster.js");
      const { timeRank } = await import("../train/probe/simulateWorld.js");
      const { loadBackend } = await import("../backends/loadBackend.js");
      await loadBackend(config.backend);
      shown = planCluster(run, plan.mesh, plan.hardware, await timeRank(run, plan.mesh, config.optimizer));
    }
    this.log(describeCluster(shown).join("\n"));
    return shown;
  }

  private async simulate(config: RunConfig, run: ClusterRun, size: number, given?: string): Promise<SimulatedWorld> {
    const { meshFor, meshText, parseMesh } = await import("../distributed/mesh.js");
    const { rankParameters } = await import("../plan/cluster/rankParameters.js");
    const { simulateWorld } = await import("../train/probe/simulateWorld.js");
    const { loadBackend } = await import("../backends/loadBackend.js");
    const { count, formatBytes, figures } = await import("../base/format.js");
    const mesh = meshFor(
      given === undefined ? { zero: config.mesh?.zero } : parseMesh(given),
      size,
      run.model,
      run.batchSize,
    );
    await loadBackend(config.backend);
    const simulated = await simulateWorld(run, mesh, config.optimizer);
    const planned = rankParameters(run.model, mesh, config.optimizer);
    this.log(`${meshText(mesh)}, ranks ${simulated.ranks.map(({ rank }) => rank).join(", ")}, one step each`);
    for (const { rank, parameters, stateBytes, seconds, collectives } of simulated.ranks) {
      const bytes = formatBytes(collectives.reduce((sum, one) => sum + one.bytes, 0));
      this.log(
        `  rank ${rank}: ${count(parameters)} parameters (planned ${count(planned.dense + planned.experts)}), ${formatBytes(stateBytes)} of weights and moments, ` +
          `${collectives.length} collectives with ${bytes}, ${figures(seconds)} s`,
      );
    }
    this.log(`the same collectives in the same order; this process held ${formatBytes(simulated.peakBytes)} at most`);
    return simulated;
  }

  private async planSpeedup(run: ClusterRun, hardware: Hardware): Promise<SpeedupPlan> {
    const { tableLines } = await import("../cli/table.js");
    const { countParameters } = await import("../model/count.js");
    const { parseMesh } = await import("../distributed/mesh.js");
    const { planCluster } = await import("../plan/cluster/planCluster.js");
    const { readFittedLaw } = await import("../plan/sparsity/fittedLaw.js");
    const { planSpeedup } = await import("../plan/sparsity/planSpeedup.js");
    const { speedupNotes, speedupRows } = await import("../plan/sparsity/describeSpeedup.js");
    const twin = { ...run, model: { ...run.model, switch: null } };
    const fitted = readFittedLaw();
    const { tokensPerStep, seconds } = planCluster(twin, parseMesh("data=1"), hardware);
    const { activePerToken: activeParameters } = countParameters(twin.model);
    const plan = planSpeedup({ activeParameters, positions: run.steps * tokensPerStep }, fitted);
    const time = { tokensPerStep, stepSeconds: seconds.step, hardware: hardware.name };
    for (const line of [...tableLines(speedupRows(plan)), "", ...speedupNotes(plan, fitted, time)]) this.log(line);
    return plan;
  }
}

/** What of a run decides its cost; the vocabulary is its dataset's, or the preset's own where there is no dataset yet. */
async function clusterRun(config: RunConfig): Promise<ClusterRun> {
  const { existsSync } = await import("node:fs");
  const { join } = await import("node:path");
  const { resolveModel } = await import("../train/config/resolveModel.js");
  const { preset } = await import("../model/presets.js");
  const { exampleLengths } = await import("../stream/objectives/exampleLengths.js");
  const { readManifest } = await import("../dataset/read/openDataset.js");
  const { loadVocabulary } = await import("../vocab/loadVocabulary.js");
  const { modelDirectory } = await import("../train/setup/findStart.js");
  const { readModelConfig } = await import("../model/checkpoint/huggingFace.js");
  const { init, stream } = config;
  const start = init && (await readModelConfig(await modelDirectory(init.from))).config;
  const vocabulary = existsSync(join(config.dataset, "dataset.json"))
    ? await loadVocabulary(join(config.dataset, (await readManifest(config.dataset)).vocabulary.file))
    : { embeddingRows: start?.vocabSize ?? preset(config.model.preset ?? "").vocabSize, path: config.dataset };
  const { batchSize, inputLength, targetLength = inputLength } = stream;
  const isPairs = config.objective === "pairs";
  return {
    model: resolveModel(config, vocabulary, start),
    batchSize,
    lengths: isPairs ? { inputs: inputLength, tokens: 0, targets: targetLength } : exampleLengths(inputLength, stream),
    steps: config.steps,
    optimizer: config.optimizer,
  };
}

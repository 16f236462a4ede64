import * as z from "zod";
import { isSparse, type ModelConfig, modelConfigSchema } from "../config.js";

/** How Transformers names an architecture; `mswitch` where it has no class that could hold it. */
export type ModelType = "mt5" | "umt5" | "t5" | "switch_transformers" | "mswitch";

const architectures = {
  mt5: "MT5ForConditionalGeneration",
  umt5: "UMT5ForConditionalGeneration",
  t5: "T5ForConditionalGeneration",
  switch_transformers: "SwitchTransformersForConditionalGeneration",
  mswitch: "MSwitchForConditionalGeneration",
} as const;

/** Capacity in the export of a model that counts it in factors: more than any sequence has tokens, so that nothing is dropped. */
const unlimitedCapacity = 2 ** 16;

/**
 * Which of Transformers' classes holds a configuration. A table of relative positions in each layer: UMT5 where dense. Dense and untied: MT5. Dense and tied: T5, since recent versions of MT5 do not
 * scale the states of a tied output layer. Switch with ReLU: SwitchTransformers, if its rule for which layers are sparse
 * (layer mod step = 1) can say the same, a token has one expert, and none is shared. Switch with a gate has no class there: natural names under a model type of our own, whose classes lie in the directory.
 */
export function modelTypeOf(config: ModelConfig): ModelType {
  if (!config.switch) return config.relativeBiasPerLayer ? "umt5" : config.tieEmbeddings ? "t5" : "mt5";
  const { encoderLayers, decoderLayers } = config;
  const expressible = [encoderLayers, decoderLayers].every((layers) => {
    const ours = sparseLayers(layers, (layer) => isSparse(config, layer));
    return ours.length > 0 && same(ours, transformersSparseLayers(layers, ours.length));
  });
  const { topK = 1, sharedExpert = false } = config.switch;
  const isPlain = config.feedForward === "relu" && !config.relativeBiasPerLayer && topK === 1 && !sharedExpert;
  return isPlain && expressible ? "switch_transformers" : "mswitch";
}

/** Where Transformers finds the classes of `mswitch`: in the directory itself. */
const autoMap = {
  AutoConfig: "configuration_mswitch.MSwitchConfig",
  AutoModelForSeq2SeqLM: "modeling_mswitch.MSwitchForConditionalGeneration",
};

/** Keys that Transformers 5 refuses as integers, in which JavaScript writes a whole number. */
const floatKeys =
  "layer_norm_epsilon|dropout_rate|initializer_factor|router_jitter_noise|router_aux_loss_coef|router_z_loss_coef";

/** The text of `config.json`: what Transformers reads, and under `mswitch` our own configuration whole. */
export function toHuggingFaceConfig(config: ModelConfig): string {
  const text = JSON.stringify(configKeys(config), null, 2);
  return `${text.replace(new RegExp(`^( {2}"(?:${floatKeys})": \\d+)(,?)$`, "gm"), "$1.0$2")}\n`;
}

function configKeys(config: ModelConfig): Record<string, unknown> {
  const type = modelTypeOf(config);
  const gated = config.feedForward === "gated-gelu";
  return {
    architectures: [architectures[type]],
    model_type: type,
    ...(type === "mswitch" ? { auto_map: autoMap } : {}),
    vocab_size: config.vocabSize,
    d_model: config.dModel,
    d_kv: config.dKv,
    d_ff: config.dFf,
    num_heads: config.heads,
    num_layers: config.encoderLayers,
    num_decoder_layers: config.decoderLayers,
    ...(config.switch ? switchKeys(config, config.switch) : {}),
    ...(type === "switch_transformers" ? {} : { feed_forward_proj: gated ? "gated-gelu" : "relu" }),
    is_gated_act: gated,
    dense_act_fn: gated ? "gelu_new" : "relu",
    relative_attention_num_buckets: config.relativeBuckets,
    relative_attention_max_distance: config.relativeMaxDistance,
    layer_norm_epsilon: config.layerNormEpsilon,
    dropout_rate: config.dropout,
    initializer_factor: 1,
    is_encoder_decoder: true,
    use_cache: true,
    pad_token_id: 0,
    eos_token_id: 1,
    decoder_start_token_id: 0,
    tie_word_embeddings: config.tieEmbeddings,
    torch_dtype: "float32",
    mswitch: config,
  };
}

function switchKeys(config: ModelConfig, sparse: NonNullable<ModelConfig["switch"]>): Record<string, unknown> {
  const count = (layers: number): number => sparseLayers(layers, (layer) => isSparse(config, layer)).length;
  return {
    num_experts: sparse.experts,
    num_sparse_encoder_layers: count(config.encoderLayers),
    num_sparse_decoder_layers: count(config.decoderLayers),
    expert_capacity: "absolute" in sparse.capacity ? sparse.capacity.absolute : unlimitedCapacity,
    router_bias: false,
    router_dtype: "float32",
    router_ignore_padding_tokens: sparse.ignorePadding,
    router_jitter_noise: sparse.jitter,
    router_aux_loss_coef: sparse.auxLossWeight,
    router_z_loss_coef: sparse.zLossWeight,
  };
}

const foreignSchema = z.object({
  model_type: z.enum(["mt5", "umt5", "t5", "switch_transformers"]),
  vocab_size: z.int().positive(),
  d_model: z.int().positive(),
  d_kv: z.int().positive(),
  d_ff: z.int().positive(),
  num_heads: z.int().positive(),
  num_layers: z.int().positive(),
  num_decoder_layers: z.int().positive().nullish(),
  feed_forward_proj: z.enum(["relu", "gated-gelu"]).optional(),
  dense_act_fn: z.string().nullish(),
  relative_attention_num_buckets: z.int().positive().default(32),
  relative_attention_max_distance: z.int().positive().default(128),
  layer_norm_epsilon: z.number().positive().default(1e-6),
  dropout_rate: z.number().min(0).max(1).default(0.1),
  tie_word_embeddings: z.boolean().default(true),
  scale_decoder_outputs: z.boolean().optional(),
  num_experts: z.int().positive().default(8),
  num_sparse_encoder_layers: z.int().nonnegative().default(3),
  num_sparse_decoder_layers: z.int().nonnegative().default(3),
  expert_capacity: z.int().positive().default(64),
  router_bias: z.literal(false).default(false),
  router_ignore_padding_tokens: z.boolean().default(false),
  router_jitter_noise: z.number().min(0).default(0.01),
  router_aux_loss_coef: z.number().default(0.001),
  router_z_loss_coef: z.number().default(0.001),
});

/**
 * Our configuration from a `config.json` of ours or of Transformers'. Throws a plain Error that says what does not fit.
 *
 * @param names of the checkpoint's tensors: they tell what the flags of some versions do not (see docs/checkpoints.md)
 * @returns also whether the output layer is untied here and has the embedding's values: Transformers 5 ties MT5's and T5 1.1's, and does not
 *   scale their states
 */
export function fromHuggingFaceConfig(
  json: unknown,
  names: ReadonlySet<string>,
): { config: ModelConfig; outputIsEmbedding: boolean } {
  const own = z.object({ mswitch: modelConfigSchema }).safeParse(json);
  if (own.success) return { config: own.data.mswitch, outputIsEmbedding: false };
  const parsed = foreignSchema.safeParse(json);
  if (!parsed.success) {
    const { path, message } = parsed.error.issues[0];
    throw new Error(`${path.join(".") || "the document"}: ${message}`);
  }
  const c = parsed.data;
  const isSwitch = c.model_type === "switch_transformers";
  const hasOutput = names.has("lm_head.weight");
  const decoderLayers = c.num_decoder_layers ?? c.num_layers;
  const config: ModelConfig = {
    vocabSize: c.vocab_size,
    dModel: c.d_model,
    dKv: c.d_kv,
    dFf: c.d_ff,
    heads: c.num_heads,
    encoderLayers: c.num_layers,
    decoderLayers,
    feedForward: isSwitch ? "relu" : (c.feed_forward_proj ?? (c.model_type === "umt5" ? "gated-gelu" : "relu")),
    // Transformers 5 writes true for every T5 and MT5; whether there is an output layer is what the file says.
    tieEmbeddings: isSwitch ? c.tie_word_embeddings : !hasOutput && scalesOutputs(c),
    relativeBuckets: c.relative_attention_num_buckets,
    relativeMaxDistance: c.relative_attention_max_distance,
    ...(c.model_type === "umt5" ? { relativeBiasPerLayer: true } : {}),
    layerNormEpsilon: c.layer_norm_epsilon,
    dropout: c.dropout_rate,
    init: { scheme: "t5" },
    precision: "float32",
    switch: isSwitch
      ? {
          experts: c.num_experts,
          every: sparseEvery(c.num_layers, c.num_sparse_encoder_layers, decoderLayers, c.num_sparse_decoder_layers),
          capacity: { absolute: c.expert_capacity },
          group: "sequence",
          jitter: c.router_jitter_noise,
          auxLossWeight: c.router_aux_loss_coef,
          zLossWeight: c.router_z_loss_coef,
          ignorePadding: c.router_ignore_padding_tokens,
          expertDropout: 0,
        }
      : null,
  };
  return { config, outputIsEmbedding: !isSwitch && !hasOutput && !config.tieEmbeddings };
}

/** Whether Transformers 5 scales the states of a tied output layer by dModel^−½. */
function scalesOutputs({
  model_type,
  scale_decoder_outputs,
  tie_word_embeddings,
}: z.infer<typeof foreignSchema>): boolean {
  return model_type === "umt5" || (model_type === "t5" && (scale_decoder_outputs ?? tie_word_embeddings));
}

/** The `every` of ours that says what Transformers' two counts of sparse layers do. */
function sparseEvery(
  encoderLayers: number,
  encoderSparse: number,
  decoderLayers: number,
  decoderSparse: number,
): number {
  for (let every = 1; every <= Math.max(encoderLayers, decoderLayers); every++) {
    const ours = (layers: number): number[] => sparseLayers(layers, (layer) => layer % every === every - 1);
    const encoderAgrees = same(ours(encoderLayers), transformersSparseLayers(encoderLayers, encoderSparse));
    if (encoderAgrees && same(ours(decoderLayers), transformersSparseLayers(decoderLayers, decoderSparse)))
      return every;
  }
  throw new Error(
    `num_sparse_encoder_layers ${encoderSparse} of ${encoderLayers} and num_sparse_decoder_layers ${decoderSparse} of ` +
      `${decoderLayers} make layers sparse that are not every n-th`,
  );
}

function sparseLayers(layers: number, sparse: (layer: number) => boolean): number[] {
  return Array.from({ length: layers }, (_, layer) => layer).filter(sparse);
}

/** Transformers' rule, its behaviour at a count of 0 included. */
function transformersSparseLayers(layers: number, count: number): number[] {
  const step = count > 0 ? Math.floor(layers / count) : layers;
  return sparseLayers(layers, (layer) => step === 1 || layer % step === 1);
}

function same(a: number[], b: number[]): boolean {
  return a.length === b.length && a.every((value, i) => value === b[i]);
}

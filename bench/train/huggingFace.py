"""The peer: Hugging Face Transformers' MT5 or Switch model in one process, stepped by the lines it reads (see ours.mjs).

python huggingFace.py '{"shape": "mt5-small", "config": "dense", "vocab": 32128, "variant": "bfloat16", "batch": 8, "threads": 2, "device": "cpu"}'

variant: float32; bfloat16 (autocast over float32 weights); compile (bfloat16 under torch.compile).
"""

import json
import math
import resource
import sys
import time

import torch
import transformers
from transformers import (
    Adafactor,
    MT5Config,
    MT5ForConditionalGeneration,
    SwitchTransformersConfig,
    SwitchTransformersForConditionalGeneration,
)

transformers.logging.set_verbosity_error()
options = json.loads(sys.argv[1])
small = options["shape"] == "small"
# bench/train/shapes.mjs has the same.
lengths = {"inputs": 64, "targets": 17} if small else {"inputs": 512, "targets": 114}
device = torch.device(options.get("device", "cpu"))
on_cuda = device.type == "cuda"
if options.get("threads"):
    torch.set_num_threads(options["threads"])
torch.manual_seed(1)
shape = dict(
    vocab_size=options["vocab"],
    **(
        dict(d_model=64, d_kv=16, d_ff=128, num_layers=2, num_decoder_layers=2, num_heads=4)
        if small
        else dict(d_model=512, d_kv=64, d_ff=1024, num_layers=8, num_decoder_layers=8, num_heads=6)
    ),
    dropout_rate=0.0,
    tie_word_embeddings=False,
    decoder_start_token_id=0,
    use_cache=False,
)


def dense():
    config = MT5Config(**shape)
    config.decoder_start_token_id = 0
    # Transformers 5 ties mT5's embeddings whatever its configuration says; mT5's own are untied.
    config.tie_word_embeddings = False
    return MT5ForConditionalGeneration(config)


def switch(experts, router_logits):
    config = SwitchTransformersConfig(
        **shape,
        num_experts=experts,
        num_sparse_encoder_layers=2 if small else 4,
        num_sparse_decoder_layers=2 if small else 4,
        router_jitter_noise=0.01,
        router_z_loss_coef=0.0,
        router_aux_loss_coef=0.01,
        output_router_logits=router_logits,
        # 4.57's models take router_probs only where this is set.
        add_router_probs=True,
    )
    config.decoder_start_token_id = 0
    model = SwitchTransformersForConditionalGeneration(config)
    # Capacity factor 1.25; Transformers counts it per sequence.
    for stack, length in ((model.encoder, lengths["inputs"]), (model.decoder, lengths["targets"])):
        for module in stack.modules():
            if hasattr(module, "expert_capacity"):
                module.expert_capacity = max(4, math.ceil(1.25 * length / experts))
    if options["variant"] != "float32":
        # 4.57 writes an expert's bfloat16 output into a float32 tensor and raises: cast it back.
        for name, module in model.named_modules():
            if ".expert_" in name and name.split(".")[-1].startswith("expert_"):
                module.register_forward_hook(lambda _, inputs, output: output.to(inputs[0].dtype))
    return model


inputs = torch.randint(3, options["vocab"], (options["batch"], lengths["inputs"])).to(device)
labels = torch.randint(3, options["vocab"], (options["batch"], lengths["targets"])).to(device)


def loss_of(model):
    with torch.autocast(device.type, torch.bfloat16, enabled=options["variant"] != "float32"):
        return model(input_ids=inputs, labels=labels).loss


where = torch.cuda.get_device_name(device) if on_cuda else f"{torch.get_num_threads()} threads"
notes = [f"transformers {transformers.__version__}", f"torch {torch.__version__}", where]
if options["config"] == "dense":
    model = dense()
else:
    experts = int(options["config"].removeprefix("switch"))
    model = switch(experts, True)
    try:
        with torch.no_grad():
            model(input_ids=inputs[:1, :8], labels=labels[:1, :4])
    except (RuntimeError, IndexError, TypeError) as error:
        # Some 5.x versions collect no router logits and fail; without them the peer is spared the balance loss.
        notes.append(f"no balance loss (output_router_logits raises: {str(error)[:60]})")
        model.config.output_router_logits = False
        for part in (model.encoder, model.decoder):
            part.config.output_router_logits = False
# One input embedding for both stacks, as mT5 has it and as our side has it; untied, Transformers 5 makes three.
for stack in (model.encoder, model.decoder):
    stack.embed_tokens = model.shared
model.train()
with torch.no_grad():
    # Its initialization of an untied head gives losses near 100 and gradients full of denormals, four times slower.
    model.lm_head.weight.normal_(0, shape["d_model"] ** -0.5)
model.to(device)
notes.append(f"attention {getattr(model.config, '_attn_implementation', 'unknown')}")
step_model = torch.compile(model) if options["variant"] == "compile" else model
optimizer = Adafactor(model.parameters(), lr=1e-3, scale_parameter=True, relative_step=False, warmup_init=False)


def mark():
    """A moment: an event of the device's stream, the clock on a CPU."""
    if not on_cuda:
        return time.perf_counter()
    event = torch.cuda.Event(enable_timing=True)
    event.record()
    return event


def between(begin, end):
    """Seconds. Events must have happened."""
    return begin.elapsed_time(end) / 1e3 if on_cuda else end - begin


def step():
    cpu = time.process_time()
    started = mark()
    loss = loss_of(step_model)
    forward = mark()
    loss.backward()
    differentiated = mark()
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    ended = mark()
    value = loss.item()
    if on_cuda:
        torch.cuda.synchronize()
    return {
        "loss": value,
        "seconds": between(started, ended),
        "cpuSeconds": time.process_time() - cpu,
        "forwardSeconds": between(started, forward),
        "optimizerSeconds": between(differentiated, ended),
    }


def say(answer):
    print(json.dumps(answer), flush=True)


say({"description": ", ".join(notes), "parameters": sum(p.numel() for p in model.parameters())})
for line in sys.stdin:
    command = line.strip()
    if command == "end":
        break
    if command == "step":
        say(step())
    elif command == "peak":
        host = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        say({"peakMiB": torch.cuda.max_memory_allocated(device) / 2**20 if on_cuda else host})

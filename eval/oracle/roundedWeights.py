"""What rounding weights alone to bfloat16 does to the golden cases, in Transformers' own float32.

python eval/oracle/roundedWeights.py eval/golden

For each case with a model: max |logits - golden| / max |golden|, as `npm run golden` has it, with some of the weights rounded to bfloat16 and
widened again, and everything computed in float32. No bfloat16 product of these weights can come closer than that.
"""

import json
import pathlib
import sys
import warnings

import torch
import transformers
from safetensors.torch import load_file

warnings.filterwarnings("ignore")
transformers.logging.set_verbosity_error()

PARTS = {
    "none": lambda name: False,
    "queries and keys": lambda name: ".q." in name or ".k." in name,
    "values and outputs of attention": lambda name: ".v." in name or ".o." in name,
    "feed-forward": lambda name: ".wi" in name or ".wo" in name,
    "embedding": lambda name: name.startswith("shared") or "embed_tokens" in name,
    "output layer": lambda name: name.startswith("lm_head"),
    "all but norms and routers": lambda name: "norm" not in name and "router" not in name,
}


MODELS = {
    "mt5": transformers.MT5ForConditionalGeneration,
    "switch_transformers": transformers.SwitchTransformersForConditionalGeneration,
}


def load(folder):
    config = transformers.AutoConfig.from_pretrained(folder)
    weights = load_file(folder / "model.safetensors")
    tied = config.tie_word_embeddings = "lm_head.weight" not in weights
    model = MODELS[config.model_type](config)
    # One input embedding for both stacks, but where the file has three. Transformers 5 ties mT5's output layer whatever its configuration says.
    if "encoder.embed_tokens.weight" not in weights:
        for stack in (model.encoder, model.decoder):
            stack.embed_tokens = model.shared
    model.lm_head.weight = model.shared.weight if tied else torch.nn.Parameter(weights["lm_head.weight"].clone())
    model.load_state_dict(weights, strict=False)
    return model.eval()


def main(directory):
    for folder in sorted(path.parent for path in pathlib.Path(directory).glob("*/config.json")):
        case = json.loads((folder / "case.json").read_text())
        golden = load_file(folder / "tensors.safetensors")["logits"]
        batch = {name: torch.tensor(case[name]) for name in ("input_ids", "attention_mask", "labels")}
        model = load(folder)
        exact = {name: value.detach().clone() for name, value in model.named_parameters()}
        print(folder.name)
        for part, belongs in PARTS.items():
            with torch.no_grad():
                for name, value in model.named_parameters():
                    value.copy_(exact[name].to(torch.bfloat16) if belongs(name) else exact[name])
                logits = model(**batch).logits
            print(f"  {part}: {((logits - golden).abs().max() / golden.abs().max()).item():.1e}")


main(sys.argv[1])

# Writes eval/golden/*/generate.json: what Transformers' generate writes with each golden model, greedily and with beams.
#   python test/golden/recordGenerate.py
import json
import pathlib

import torch
import transformers
from transformers import AutoModelForSeq2SeqLM

golden = pathlib.Path(__file__).parents[2] / "eval" / "golden"
prompts_of_case, prompts_of_beams, longest, max_new_tokens = 200, 24, 24, 20
beam_settings = [
    {"num_beams": 4, "length_penalty": 1.0, "early_stopping": False},
    {"num_beams": 3, "length_penalty": 2.0, "early_stopping": True},
    {"num_beams": 2, "length_penalty": 0.0, "early_stopping": False},
]

for directory in sorted(path.parent for path in golden.glob("*/model.safetensors")):
    model = AutoModelForSeq2SeqLM.from_pretrained(directory).eval()
    random = torch.Generator().manual_seed(1)
    lengths = torch.randint(1, longest, (prompts_of_case,), generator=random)
    inputs = torch.zeros(prompts_of_case, longest, dtype=torch.long)
    for row, length in enumerate(lengths):
        inputs[row, :length] = torch.randint(2, model.config.vocab_size, (int(length),), generator=random)
        inputs[row, length] = 1

    def generate(rows, eos, **options):
        with torch.no_grad():
            written = model.generate(
                rows,
                attention_mask=(rows != 0).long(),
                max_new_tokens=max_new_tokens,
                do_sample=False,
                eos_token_id=eos,
                pad_token_id=0,
                **options,
            )
        # Without the start token, and without what fills a row up after its end of sequence.
        texts = [row[1:].tolist() for row in written]
        return [text[: text.index(eos) + 1] if eos in text else text for text in texts]

    # Random weights hardly ever end a text with 1. The end of sequence is the token that ends about half of the texts.
    free = generate(inputs, 1, num_beams=1)
    texts_with = {id: sum(id in text for text in free) for id in range(2, model.config.vocab_size)}
    eos = min(texts_with, key=lambda id: abs(texts_with[id] - prompts_of_case / 2))

    case = {
        "transformers": transformers.__version__,
        "maxNewTokens": max_new_tokens,
        "eosId": eos,
        "inputs": [row[row != 0].tolist() for row in inputs],
        "greedy": generate(inputs, eos, num_beams=1),
        "beams": [{**setting, "outputs": generate(inputs[:prompts_of_beams], eos, **setting)} for setting in beam_settings],
    }
    (directory / "generate.json").write_text(json.dumps(case, separators=(",", ":")) + "\n")
    ended = sum(row[-1] == eos for row in case["greedy"])
    print(directory.name, ended, "of", prompts_of_case, "ended", len({tuple(row) for row in case["greedy"]}), "distinct",
          [sum(row[-1] == eos for row in beams["outputs"]) for beams in case["beams"]])

# The peer of bench/generate.mjs: Transformers' generate on the CPU, float32. Started once; times one call for each line on stdin.
import json
import sys
import time

import torch
from transformers import MT5Config, MT5ForConditionalGeneration

directory, shape = sys.argv[1], json.loads(sys.argv[2])
torch.manual_seed(0)
model = MT5ForConditionalGeneration(MT5Config(**shape)).eval()
model.save_pretrained(directory)
print(json.dumps({"threads": torch.get_num_threads(), "torch": torch.__version__}), flush=True)
for line in sys.stdin:
    job = json.loads(line)
    inputs = torch.tensor(job["inputs"])
    started = time.perf_counter()
    with torch.inference_mode():
        written = model.generate(
            inputs, attention_mask=torch.ones_like(inputs), max_new_tokens=job["tokens"], do_sample=False, num_beams=1
        )
    seconds = time.perf_counter() - started
    print(json.dumps({"seconds": seconds, "ids": written[:, 1:].tolist()}), flush=True)

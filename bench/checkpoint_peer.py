"""The Python side of bench/checkpoint.mjs: reads lines `init` and `save`, answers each with the seconds that it took, as JSON.

    python bench/checkpoint_peer.py '{"shapes": [[2, 3]], "threads": 2, "folder": "DIR"}'
"""
import hashlib
import json
import os
import resource
import sys
import time

import torch
from safetensors.torch import save_file

options = json.loads(sys.argv[1])
torch.set_num_threads(options["threads"])
tensors = {}


def init():
    for number, shape in enumerate(options["shapes"]):
        tensors[str(number)] = torch.empty(shape).normal_(0, 0.02)


def save():
    path = os.path.join(options["folder"], "peer.safetensors")
    save_file(tensors, path, {"format": "pt"})
    with open(path, "rb") as file:
        os.fsync(file.fileno())
        hashlib.file_digest(file, "sha256").hexdigest()


for line in sys.stdin:
    wall, usage = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF)
    {"init": init, "save": save}[line.strip()]()
    after = resource.getrusage(resource.RUSAGE_SELF)
    cpu = after.ru_utime + after.ru_stime - usage.ru_utime - usage.ru_stime
    print(json.dumps({"wall": time.perf_counter() - wall, "cpu": cpu}), flush=True)

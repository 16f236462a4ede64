"""Prints the SHA-256 of the ids, as 32-bit little-endian integers, that the Python package `sentencepiece` gives for the whole sample,
all training documents joined by newlines: the figure in src/vocab/encode/createEncoder.test.ts.

    python vocab/oracle/hash_ids.py vocab/sample.model data/sample
"""
import array
import glob
import hashlib
import os
import sys

import sentencepiece

from compare_tokens import documents_of

model, folder = sys.argv[1:]
shards = sorted(path for path in glob.glob(os.path.join(folder, "*.json.gz")) if "-validation." not in path)
ids = sentencepiece.SentencePieceProcessor(model_file=model).encode(b"\n".join(documents_of(shards)), out_type=int)
print(f"sentencepiece {sentencepiece.__version__}: {len(ids)} ids, {hashlib.sha256(array.array('I', ids).tobytes()).hexdigest()}")

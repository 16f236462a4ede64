"""Compares mswitch's token ids, and the text they decode to, with the Python package `sentencepiece`, document by document.

    pip install sentencepiece; npm run build
    npm run oracle:tokens                                                     # the sample, and 20,000 hostile documents
    python vocab/oracle/compare_tokens.py MODEL SHARDS_OR_FOLDERS...
    python vocab/oracle/compare_tokens.py MODEL --fuzz 20000 SHARDS_OR_FOLDERS...

With --fuzz the documents of the shards only give the words that hostile documents are made of. Prints `N documents, M differ`;
exits with 1 if any document differs.
"""
import argparse
import array
import glob
import gzip
import json
import os
import struct
import subprocess
import sys
import tempfile

import sentencepiece

from fuzz_documents import fuzz_documents

HERE = os.path.dirname(os.path.abspath(__file__))


def documents_of(shards):
    for shard in shards:
        with gzip.open(shard, "rt", encoding="utf-8", errors="replace", newline="\n") as lines:
            for line in lines:
                # Lone surrogates become U+FFFD, as everywhere in JavaScript.
                text = json.loads(line)["text"]
                yield text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").encode()


def records(path):
    with open(path, "rb") as file:
        while head := file.read(4):
            yield file.read(struct.unpack("<I", head)[0])


def batches(documents):
    """Lists of documents, some 30 MB each: the memory needed does not grow with the corpus."""
    batch, size = [], 0
    for document in documents:
        batch.append(document)
        size += len(document)
        if size > 30_000_000:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def ours_of(model, documents):
    """Ids and decoded text of each document, by the compiled encoder."""
    with tempfile.TemporaryDirectory() as folder:
        source, ids, texts = (os.path.join(folder, name) for name in ("documents", "ids", "texts"))
        with open(source, "wb") as file:
            for document in documents:
                file.write(struct.pack("<I", len(document)) + document)
        subprocess.run(["node", os.path.join(HERE, "encode_lines.mjs"), model, source, ids, texts], check=True)
        yield from zip(records(ids), records(texts), strict=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("shards", nargs="+")
    parser.add_argument("--fuzz", type=int, metavar="N", help="compare N made-up documents instead")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--show", type=int, default=3, help="differing documents to print")
    options = parser.parse_args()

    shards = [shard for path in options.shards for shard in (sorted(glob.glob(os.path.join(path, "*.json.gz"))) if os.path.isdir(path) else [path])]
    documents = documents_of(shards)
    if options.fuzz:
        words = sorted({word for document in documents for word in document.decode().split()})
        documents = fuzz_documents(options.fuzz, words, options.seed)

    processor = sentencepiece.SentencePieceProcessor(model_file=options.model)
    size = ids_differ = texts_differ = compared = tokens = 0
    for batch in batches(documents):
        for at in range(0, len(batch), 1000):
            part = batch[at : at + 1000]
            if at == 0:
                ours_in_batch = ours_of(options.model, batch)
            expected = processor.encode(part, out_type=int)
            for document, theirs, (our_ids, our_text) in zip(part, expected, ours_in_batch):
                ours = array.array("I", our_ids).tolist()
                compared += 1
                size += len(document)
                tokens += len(theirs)
                if ours != theirs:
                    ids_differ += 1
                    if ids_differ <= options.show:
                        at_id = next((i for i, (a, b) in enumerate(zip(ours, theirs)) if a != b), min(len(ours), len(theirs)))
                        show = slice(at_id, at_id + 8)
                        print(f"{document[:200]!r}\n  first at token {at_id}: ours {ours[show]}, theirs {theirs[show]}")
                elif our_text.decode() != processor.decode(theirs):
                    texts_differ += 1
                    if texts_differ <= options.show:
                        print(f"{document[:200]!r}\n  decoded: ours {our_text.decode()[:200]!r}\n  theirs {processor.decode(theirs)[:200]!r}")

    kind = "hostile documents" if options.fuzz else "documents"
    print(
        f"{options.model}: {compared} {kind}, {ids_differ} differ, {texts_differ} decode differently"
        f" ({size / 1e6:.1f} MB, {tokens} tokens, sentencepiece {sentencepiece.__version__})"
    )
    return 1 if ids_differ or texts_differ else 0


if __name__ == "__main__":
    sys.exit(main())

"""Compares mswitch's token ids, and the text they decode to, with the Python package `sentencepiece`, document by document.

    pip install sentencepiece; npm run build
    python vocab/oracle/compare_tokens.py vocab/sample.model data/sample/*-validation*
    python vocab/oracle/compare_tokens.py vocab/sample.model --fuzz 6000 data/sample/*-validation*

With --fuzz the documents of the shards only give the words that hostile documents are made of. Prints
`N documents, M differ` and the speed of both encoders, one thread each; exits with 1 if any document differs.
"""
import argparse
import array
import gzip
import json
import os
import struct
import subprocess
import sys
import tempfile
import time

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


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("shards", nargs="+")
    parser.add_argument("--fuzz", type=int, metavar="N", help="compare N made-up documents instead")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--show", type=int, default=3, help="differing documents to print")
    options = parser.parse_args()

    documents = list(documents_of(options.shards))
    if options.fuzz:
        words = sorted({word for document in documents for word in document.decode().split()})
        documents = list(fuzz_documents(options.fuzz, words, options.seed))

    processor = sentencepiece.SentencePieceProcessor(model_file=options.model)
    with tempfile.TemporaryDirectory() as folder:
        source, ids, texts = (os.path.join(folder, name) for name in ("documents", "ids", "texts"))
        with open(source, "wb") as file:
            for document in documents:
                file.write(struct.pack("<I", len(document)) + document)
        node = ["node", os.path.join(HERE, "encode_lines.mjs"), options.model, source, ids, texts]
        report = json.loads(subprocess.run(node, stdout=subprocess.PIPE, check=True).stdout)

        seconds = 0.0
        ids_differ = texts_differ = compared = tokens = 0
        for document, our_ids, our_text in zip(documents, records(ids), records(texts), strict=True):
            started = time.perf_counter()
            theirs = processor.encode(document, out_type=int)
            seconds += time.perf_counter() - started
            ours = array.array("I", our_ids).tolist()
            compared += 1
            tokens += len(theirs)
            if ours != theirs:
                ids_differ += 1
                if ids_differ <= options.show:
                    at = next((i for i, (a, b) in enumerate(zip(ours, theirs)) if a != b), min(len(ours), len(theirs)))
                    print(f"{document[:200]!r}\n  first at token {at}: ours {ours[at : at + 8]}, theirs {theirs[at : at + 8]}")
            elif our_text.decode() != processor.decode(theirs):
                texts_differ += 1
                if texts_differ <= options.show:
                    print(f"{document[:200]!r}\n  decoded: ours {our_text.decode()[:200]!r}\n  theirs {processor.decode(theirs)[:200]!r}")

    megabytes = report["bytes"] / 1e6
    print(f"{compared} documents, {ids_differ} differ" + (f", {texts_differ} decode differently" if texts_differ else ""))
    print(
        f"{megabytes:.1f} MB, {tokens} tokens; mswitch {megabytes / report['encodeSeconds']:.1f} MB/s (model loaded in"
        f" {report['loadSeconds']:.2f} s), sentencepiece {sentencepiece.__version__} {megabytes / seconds:.1f} MB/s:"
        f" {seconds / report['encodeSeconds']:.1f} times"
    )
    return 1 if ids_differ or texts_differ else 0


if __name__ == "__main__":
    sys.exit(main())

"""The Python sides of bench/preprocess.mjs. Each prints one line of JSON.

    python bench/preprocess_peer.py encode sentencepiece|tokenizers MODEL RECORDS THREADS     CPU and wall seconds, tokens
    python bench/preprocess_peer.py pipeline|datasets MODEL SOURCE OUT WORKERS                documents, tokens
"""
import glob
import gzip
import json
import multiprocessing
import os
import sys
import time

import sentencepiece

# Documents of one call: what the libraries parallelize over.
BATCH = 1000


def encode(peer, model, records, threads):
    sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
    from encode_peer import hugging_face, texts_of

    os.environ["RAYON_NUM_THREADS"] = str(threads)
    os.environ["TOKENIZERS_PARALLELISM"] = "true" if threads > 1 else "false"
    texts = list(texts_of(records))
    if peer == "sentencepiece":
        processor = sentencepiece.SentencePieceProcessor(model_file=model)
        run = lambda batch: sum(map(len, processor.encode(batch, out_type=int, num_threads=threads)))
    else:
        tokenizer = hugging_face(model)
        run = lambda batch: sum(len(one.ids) for one in tokenizer.encode_batch_fast(batch, add_special_tokens=False))
    cpu, wall = time.process_time(), time.perf_counter()
    tokens = sum(run(texts[i : i + BATCH]) for i in range(0, len(texts), BATCH))
    return {"cpu": time.process_time() - cpu, "wall": time.perf_counter() - wall, "tokens": tokens}


processor = None


def load(model):
    global processor
    processor = sentencepiece.SentencePieceProcessor(model_file=model)


def shard(job):
    """What a shard becomes: the same columns that mswitch writes."""
    import pyarrow as pa

    path, out, token = job
    schema = pa.schema([("tokens", pa.list_(token)), ("line", pa.uint32()), ("bytes", pa.uint32())])
    documents = tokens = 0
    with pa.OSFile(os.path.join(out, os.path.basename(path) + ".arrow"), "wb") as sink, pa.ipc.new_file(sink, schema) as writer:

        def flush(texts, lines):
            nonlocal documents, tokens
            ids = processor.encode(texts, out_type=int, num_threads=1)
            sizes = [len(text.encode()) for text in texts]
            writer.write_batch(pa.record_batch([pa.array(ids, pa.list_(token)), pa.array(lines, pa.uint32()), pa.array(sizes, pa.uint32())], schema=schema))
            documents += len(texts)
            tokens += sum(map(len, ids))

        texts, lines = [], []
        with gzip.open(path, "rb") as source:
            for number, line in enumerate(source, 1):
                text = json.loads(line)["text"]
                if text == "":
                    continue
                texts.append(text)
                lines.append(number)
                if len(texts) == BATCH:
                    flush(texts, lines)
                    texts, lines = [], []
        if texts:
            flush(texts, lines)
    return documents, tokens


def pipeline(model, source, out, workers):
    """gzip, json, sentencepiece and pyarrow, a process for each worker, the largest shards first."""
    import pyarrow as pa

    os.makedirs(out)
    load(model)
    token = pa.uint16() if processor.get_piece_size() + 100 <= 2**16 else pa.uint32()
    files = sorted(glob.glob(os.path.join(source, "*.json.gz")), key=os.path.getsize, reverse=True)
    jobs = [(path, out, token) for path in files]
    if workers == 1:
        counts = list(map(shard, jobs))
    else:
        with multiprocessing.Pool(workers, load, (model,)) as pool:
            counts = list(pool.imap_unordered(shard, jobs))
    return {"documents": sum(d for d, _ in counts), "tokens": sum(t for _, t in counts)}


def ids_of(batch, model):
    if processor is None:
        load(model)
    return {"tokens": processor.encode(batch["text"], out_type=int)}


def hugging_face_datasets(model, source, out, workers):
    """`load_dataset` of JSON lines, then `map` with SentencePiece over batches."""
    os.environ.update(HF_HUB_OFFLINE="1", HF_DATASETS_OFFLINE="1", HF_HOME=out)
    import datasets

    datasets.disable_progress_bars()
    processes = workers if workers > 1 else None
    data = datasets.load_dataset("json", data_files=sorted(glob.glob(os.path.join(source, "*.json.gz"))), split="train", cache_dir=out, num_proc=processes)
    data = data.map(ids_of, batched=True, batch_size=BATCH, fn_kwargs={"model": model}, remove_columns=data.column_names, num_proc=processes)
    import pyarrow.compute as pc

    return {"documents": len(data), "tokens": sum(pc.sum(pc.list_value_length(chunk)).as_py() for chunk in data.data.column("tokens").chunks)}


def main():
    command, *rest = sys.argv[1:]
    run = {"encode": encode, "pipeline": pipeline, "datasets": hugging_face_datasets}[command]
    print(json.dumps(run(*rest[:-1], int(rest[-1]))))


if __name__ == "__main__":
    main()

"""One Python tokenizer over a file of records (32-bit length, bytes), as one batch on one thread. Prints the CPU seconds.

    python bench/encode_peer.py sentencepiece|tokenizers MODEL RECORDS
"""
import os
import struct
import sys
import time

os.environ["RAYON_NUM_THREADS"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"


def texts_of(path):
    with open(path, "rb") as file:
        while head := file.read(4):
            yield file.read(struct.unpack("<I", head)[0]).decode()


def hugging_face(model):
    """The tokenizer that `transformers` makes of a unigram SentencePiece model."""
    from sentencepiece import sentencepiece_model_pb2
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers

    proto = sentencepiece_model_pb2.ModelProto()
    with open(model, "rb") as file:
        proto.ParseFromString(file.read())
    pieces = [(piece.piece, piece.score) for piece in proto.pieces]
    unk = next(i for i, piece in enumerate(proto.pieces) if piece.type == 2)
    tokenizer = Tokenizer(models.Unigram(pieces, unk, proto.trainer_spec.byte_fallback))
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.Precompiled(proto.normalizer_spec.precompiled_charsmap), normalizers.Replace(" {2,}", " ")]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    return tokenizer


def main():
    peer, model, path = sys.argv[1:]
    texts = list(texts_of(path))
    if peer == "sentencepiece":
        import sentencepiece

        processor = sentencepiece.SentencePieceProcessor(model_file=model)
        started = time.process_time()
        processor.encode(texts, out_type=int, num_threads=1)
    else:
        tokenizer = hugging_face(model)
        started = time.process_time()
        tokenizer.encode_batch_fast(texts, add_special_tokens=False)
    print(time.process_time() - started)


if __name__ == "__main__":
    main()

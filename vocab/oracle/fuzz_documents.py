"""Documents made to break a SentencePiece encoder: the same ones for the same seed and words."""
import random
import unicodedata

SPACES = [" ", " ", " ", "  ", "\n", "\t", "\r\n", "\u00a0", "\u3000", "\u2003", "\u200b", "\ufeff", "\u2028", "\u0085", "\x0b"]
MARKS = [chr(c) for c in range(0x300, 0x345)] + [chr(c) for c in range(0x1DC0, 0x1DD0)] + ["\u20dd", "\ufe0f", "\ufe0e"]
ARABIC = [chr(c) for c in range(0x610, 0x700)] + [chr(c) for c in range(0xFB50, 0xFC00)] + ["\ufdfa", "\ufdfd"]
INDIC = [chr(c) for c in range(0x900, 0xD80)]
JAMO = [chr(c) for c in range(0x1100, 0x1200)] + [chr(c) for c in range(0xA960, 0xA97D)]
SOUTH_EAST = [chr(c) for c in range(0xE01, 0xEE0)] + [chr(c) for c in range(0x1000, 0x10A0)] + [chr(c) for c in range(0x1780, 0x17FA)]
EMOJI = ["😀", "👩‍👩‍👧‍👦", "🏳️‍🌈", "👍🏽", "🇿🇦", "🇩🇪", "1️⃣", "❤️", "🧑🏿‍🚀", "\U0001F9D1\u200d"]
JOINERS = ["\u200d", "\u200c", "\u200e", "\u200f", "\u2060", "\u00ad", "\u034f", "\u061c"]
SPECIAL = ["\u2581", "\u2581\u2581", "\0", "\x01", "\x7f", "\ufffd", "\uffff", "\U0010ffff", "<s>", "</s>", "<unk>", "<pad>", "<0x41>",
           "<extra_id_0>", "\u2581<extra_id_7>", "<sep>", "..", "...", "---", "-----", "====", "!!!!!!", "ﬁ", "㌔", "①", "½", "Ǆ", "ß", "İ"]
INVALID = [b"\xff", b"\xc3", b"\xe2\x96", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xc0\xaf", b"\xf0\x9f\x98", b"\x80", b"\xe3\x81"]


def long_documents(rng, words):
    """One-word giants, long runs, and megabytes of words, where the accumulated score is large and float32 coarse."""
    yield b"a" * 200_000
    yield ("\u2581" * 50_000).encode()
    yield (" " * 100_000).encode()
    yield ("\uac00" * 60_000).encode()
    yield ("e\u0301" * 60_000).encode()
    yield ("-" * 30_000).encode()
    yield b"\xff" * 20_000
    for _ in range(4):
        parts, size = [], 0
        while size < 1_000_000:
            word = rng.choice(words)
            parts.append(word)
            size += len(word.encode()) + 1
        yield " ".join(parts).encode()
    yield "".join(rng.choice(words) for _ in range(120_000)).encode()


def short_document(rng, words):
    """A few to a few hundred characters out of everything above, composed, decomposed or as they come."""
    pools = [MARKS, ARABIC, INDIC, JAMO, SOUTH_EAST, EMOJI, JOINERS, SPECIAL, SPACES]
    favourites = rng.sample(pools, 3)
    parts = []
    for _ in range(rng.choice([1, 3, 10, 40, 150])):
        kind = rng.random()
        if kind < 0.35:
            parts.append(rng.choice(words))
        elif kind < 0.6:
            parts.append(rng.choice(SPACES))
        elif kind < 0.9:
            pool = rng.choice(favourites)
            parts.append("".join(rng.choice(pool) for _ in range(rng.randint(1, 5))))
        elif kind < 0.95:
            parts.append(chr(rng.choice([rng.randrange(0x20, 0xD800), rng.randrange(0xE000, 0x110000)])))
        else:
            parts.append(rng.choice(words)[::-1])
    text = "".join(parts)
    form = rng.choice(["NFC", "NFD", "NFKD", None, None])
    data = (unicodedata.normalize(form, text) if form else text).encode()
    if rng.random() < 0.1:
        for _ in range(rng.randint(1, 4)):
            at = rng.randrange(len(data) + 1)
            data = data[:at] + rng.choice(INVALID) + data[at:]
    return data


def decomposed_words(rng, words):
    """Words of all languages in canonical decomposition: Hangul as jamo, Vietnamese with its marks apart."""
    return unicodedata.normalize("NFD", " ".join(rng.choice(words) for _ in range(rng.randint(1, 80)))).encode()


def fuzz_documents(count, words, seed=1):
    """Yields `count` documents as bytes, some of them not UTF-8. `words` are real ones, of as many languages as there are."""
    rng = random.Random(seed)
    made = 0
    for document in long_documents(rng, words):
        yield document
        made += 1
    for _ in range(count - made):
        yield decomposed_words(rng, words) if rng.random() < 0.25 else short_document(rng, words)

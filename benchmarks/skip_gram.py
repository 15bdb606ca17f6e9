"""Skip-gram's words a second over gensim's, with the same settings and as many threads as gensim has workers.

    python -m benchmarks.skip_gram

100 dimensions, windows of 5, 5 negatives, sub-sampling from 1e-3 on, the words of a text that occur 5 times; ours by
`fit`, all of the engine in it. Aims: half of gensim's words a second, better as many.

The floor: a word that is not left out takes 1 row of the one table and 42 / 16 of the other (16 words share the 26
about them and 16 negatives), 400 bytes each, which are read and written once to gather them, once as a gradient, and
read and added to the table: 6 passes; and 42 products of 100 numbers, three times (forward, and two gradients).
"""

import argparse
import warnings

import torch

import ancestral as an
from ancestral.models.pretext.skip_gram import SkipGram
from benchmarks.timing import gemm_rate, interleave, machine

DIMENSIONS, WINDOW, NEGATIVES, SUBSAMPLING = 100, 5, 5, 1e-3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--text", default="text/kjv.txt.gz", help="a file, also below ANCESTRAL_DATA")
    parser.add_argument("--workers", type=int, default=2, help="of gensim, and our threads")
    parser.add_argument("--repetitions", type=int, default=5)
    args = parser.parse_args()
    torch.set_num_threads(args.workers)
    torch.manual_seed(0)
    print(machine())
    data = an.load_data(args.text, tokens="words", lower=True, min_count=5, window=256, whole=True)
    tokens = data.train.sequences[0]
    model = an.build("skip_gram", data)
    assert isinstance(model, SkipGram)
    training = dict(an.quick_settings("skip_gram", data.event).training)
    how = {"batch_size": training["batch_size"], "lr": training["lr"], "schedule": an.Linear(final=0.004)}
    frequencies = torch.tensor(data.frequencies, dtype=torch.float64)
    kept = float((frequencies * model.keep).sum()) / len(tokens)
    contestants = {"ours": lambda: an.fit(model, data.train, epochs=1, progress=False, **how)}
    try:
        from gensim.models import Word2Vec
    except ImportError:
        warnings.warn("gensim is not installed; `pip install -c constraints.txt gensim`", stacklevel=1)
    else:
        sentences = [[data.vocabulary[t] for t in row if t > 1] for row in (r.tolist() for r in tokens.split(256))]
        peer = Word2Vec(
            vector_size=DIMENSIONS,
            window=WINDOW,
            min_count=1,
            sg=1,
            negative=NEGATIVES,
            sample=SUBSAMPLING,
            workers=args.workers,
        )
        peer.build_vocab(sentences)
        assert len(peer.wv) == len(data.vocabulary) - 2
        contestants["gensim"] = lambda: peer.train(sentences, total_examples=len(sentences), epochs=1)
    seconds = interleave(contestants, args.repetitions)
    rates = {name: len(tokens) / value for name, value in seconds.items()}
    for name, rate in rates.items():
        print(f"{name:<8} {rate:10,.0f} words a second, {kept * rate:10,.0f} of them not left out")
    if "gensim" in rates:
        ratio = rates["ours"] / rates["gensim"]
        print(
            f"  ours over gensim's {ratio:5.2f} times, at least 0.5, better 1: {'met' if ratio >= 0.5 else 'NOT MET'}"
        )
    _floor(rates["ours"] * kept)


def _floor(rate: float) -> None:
    block, others = 16, 16 + 2 * WINDOW + 16
    passes = 6 * 4 * DIMENSIONS * (1 + others / block)
    operations = 3 * 2 * DIMENSIONS * others
    many = torch.empty(2**21)  # what a step gathers fits in a core's cache, and so does this
    copies = interleave({"copy": lambda: many.add_(1.0)}, 20)["copy"]
    copying, multiplying = passes * copies / (2 * 4 * len(many)), operations / gemm_rate(512, 512, 512)
    print(f"floor of a word: {passes / 1e3:.1f} kB in {1e6 * copying:.2f} µs")
    print(f"  and {operations / 1e3:.0f} thousand operations in {1e6 * multiplying:.2f} µs")
    print(f"  it takes {1e6 / rate:.2f} µs, {1 / (rate * (copying + multiplying)):.1f} times the two together")


if __name__ == "__main__":
    main()

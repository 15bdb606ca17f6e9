"""`ancestral words`: what the words of a text have learned to mean."""

import warnings
from argparse import ArgumentParser
from collections.abc import Sequence
from pathlib import Path
from unicodedata import normalize

import numpy as np

from ancestral.cli.output import write_npz
from ancestral.cli.parsing import UsageError, parse, teach, whole_number
from ancestral.cli.runs import Run, open_run
from ancestral.evaluation import WordVectors, read_questions, word_vectors
from ancestral.interface import InputError
from ancestral.output import check_output, write_bytes


def run(arguments: Sequence[str], parser: ArgumentParser) -> None:
    teach(
        parser,
        """For models of words, such as skip_gram: `ancestral fit skip_gram FILE.txt --data.tokens words --data.window
        256 --data.min_count 5`. The vector of a word is the model's features of it alone; words are compared by the
        cosine of the angle between their vectors.""",
    )
    parser.add_argument("run", metavar="RUN", help="a folder that `ancestral fit` wrote")
    parser.add_argument("--nearest", metavar="WORD", help="the words nearest to this one")
    parser.add_argument(
        "--analogy", nargs=3, metavar=("A", "B", "C"), help="what is to C as B is to A: the words nearest to B - A + C"
    )
    parser.add_argument(
        "--questions",
        metavar="FILE",
        help="how many analogies of a file it completes: lines of four words, A B C D, below lines of `: section`",
    )
    parser.add_argument("-n", "--number", type=whole_number, default=10, help="how many words to show")
    parser.add_argument(
        "-o", "--output", help="also all vectors, in a file: .txt as word2vec writes them, or .npz (words, vectors)"
    )
    args = parse(parser, arguments)
    if args.nearest is None and args.analogy is None and args.questions is None and args.output is None:
        raise UsageError("say what to do: --nearest WORD, --analogy A B C, --questions FILE, or -o FILE")
    output = None if args.output is None else check_output(args.output, (".txt", ".npz"))
    questions = None if args.questions is None else read_questions(args.questions)
    trained = open_run(args.run)
    if not trained.vocabulary:
        raise InputError(f"{args.run} has no words: it was not trained on a text")
    if trained.recipe.get("separator") == "":
        warnings.warn(f"{args.run} knows single characters: fit it with tokens=words to know words", stacklevel=1)
    found = word_vectors(trained.model, trained.vocabulary)
    nearest = completed = None
    if args.nearest is not None:
        word = _as_trained(trained, args.nearest)
        nearest = found.nearest(word, args.number)
    if args.analogy is not None:
        a, b, c = (_as_trained(trained, word) for word in args.analogy)
        completed = found.analogy(a, b, c, args.number)
    if nearest is not None:
        _show(f"nearest to {word}", nearest)
    if completed is not None:
        _show(f"{b} - {a} + {c}", completed)
    if questions is not None:
        print(found.error(questions))
    if output is not None:
        _write(found, output)
        print(f"{len(found.words):,} vectors of {found.vectors.shape[1]} numbers in {output}")


def _as_trained(run: Run, word: str) -> str:
    """A word as the text of the run was taken."""
    word = normalize("NFC", word)
    return word.lower() if (run.recipe.get("data") or {}).get("lower") else word


def _show(title: str, words: Sequence[tuple[str, float]]) -> None:
    print(f"{title}:")
    width = max(len(_printed(word)) for word, _ in words)
    for word, cosine in words:
        print(f"  {_printed(word):<{width}}  {cosine:.3f}")


def _write(found: WordVectors, path: Path) -> None:
    if path.suffix == ".npz":
        write_npz({"words": np.array(found.words), "vectors": found.vectors}, path)
        return
    lines = [f"{len(found.words)} {found.vectors.shape[1]}"]
    for word, vector in zip(found.words, found.vectors.tolist(), strict=True):
        lines.append(" ".join([_printed(word), *(f"{number:.6g}" for number in vector)]))
    write_bytes("\n".join([*lines, ""]).encode(), path)


def _printed(word: str) -> str:
    """The end of a line as word2vec calls it."""
    return "</s>" if word == "\n" else word

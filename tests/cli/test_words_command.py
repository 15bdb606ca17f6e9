"""Words on the command line: the nearest, analogies, questions, and vectors in files."""

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

LINES = "The ape ate a red bee; the bee ate a blue ape.\n" * 40
HOW = ("--data.tokens", "words", "--data.window", 16, "--data.lower", "true", "--data.min_count", 2)
TINY = ("--model.dimensions", 4, "--steps", 2, "--run-dir", "r")
pytestmark = pytest.mark.filterwarnings("ignore:.*has only")


@pytest.fixture
def trained(cli) -> str:
    Path("book.txt").write_text(LINES + "Zebra.\n")
    done = cli("fit", "skip_gram", "book.txt", *HOW, *TINY)
    assert done.code == 0, done.err
    assert "ancestral words r --nearest WORD" in done.out
    return "r"


def test_words_are_asked_for_and_written(cli, trained: str) -> None:
    said = cli("words", trained, "--nearest", "ape", "-n", 3).out.splitlines()
    assert said[0] == "nearest to ape:"
    assert len(said) == 4
    assert all(re.fullmatch(r"  \S+ +-?\d\.\d{3}", line) for line in said[1:])
    assert cli("words", trained, "--nearest", "APE", "-n", 3).out.splitlines() == said  # lower, as the text was taken
    said = cli("words", trained, "--analogy", "Red", "bee", "blue").out
    assert said.startswith("bee - red + blue:\n")
    assert "</s>" not in said
    Path("q.txt").write_text(": animals\nred bee blue ape\nred bee blue zebra\n")
    said = cli("words", trained, "--questions", "q.txt", "-o", "v.txt").out
    assert re.search(r"animals: [01] of 1 right\n.* % error on 1 analogies \(1 have unknown words\)", said)
    first, *lines = Path("v.txt").read_text().splitlines()
    assert first == f"{len(lines)} 4"
    vectors = {word: [float(number) for number in numbers] for word, *numbers in (line.split(" ") for line in lines)}
    assert "zebra" not in vectors
    assert "</s>" in vectors
    assert cli("words", trained, "-o", "v.npz").code == 0
    stored = np.load("v.npz")
    assert stored["vectors"][list(stored["words"]).index("bee")] == pytest.approx(vectors["bee"], rel=1e-5)


def test_it_is_evaluated_by_its_loss(cli, trained: str) -> None:
    assert re.search(r"skip_gram on book.txt test: loss [\d.]+, pair [\d.]+, n = \d", cli("evaluate", trained).out)


@pytest.mark.parametrize(
    ("flags", "reason"),
    [
        (("--nearest", "blu"), "no word 'blu' among .*did you mean 'blue'"),
        (("--nearest", ""), "a word is empty"),
        (("--analogy", "red", "bee", "zebra"), "no word 'zebra'"),
        (("--questions", "none.txt"), "no file of questions 'none.txt'"),
        (("-o", "v.csv"), "must end in .txt or .npz"),
        ((), "say what to do"),
    ],
)
def test_what_cannot_be_answered_is_refused_before_anything_is_written(cli, trained, flags, reason: str) -> None:
    done = cli("words", trained, *flags, *(() if "-o" in flags or not flags else ("-o", "v.txt")))
    assert done.code != 0
    assert re.search(reason, done.err)
    assert not Path("v.txt").exists()


def test_a_run_without_words_is_refused(cli) -> None:
    assert cli("fit", "kmeans", "digits", "--run-dir", "k").code == 0
    assert "was not trained on a text" in cli("words", "k", "--nearest", "ape").err


def test_data_of_another_kind_are_named_as_such(cli, trained: str) -> None:
    assert cli("fit", "kmeans", "digits", "--run-dir", "k").code == 0
    Path("few").mkdir()
    Image.fromarray(np.zeros((8, 8), dtype=np.uint8)).save("few/0.png")
    assert "r models text, but few holds pictures" in cli("evaluate", trained, "few").err
    assert "k models (1, 8, 8), 17 levels, but book.txt holds text" in cli("evaluate", "k", "book.txt").err


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "latin-1"])
def test_text_in_another_encoding_is_refused_with_how_to_convert_it(cli, encoding: str) -> None:
    text = "The ape ate a bee. " * 40 + ("é" if encoding == "latin-1" else "")
    Path("book.txt").write_bytes(text.encode(encoding))
    done = cli("fit", "skip_gram", "book.txt", *HOW, *TINY)
    guess = "ISO-8859-1" if encoding == "latin-1" else "UTF-16"
    assert done.code == 1
    assert f"iconv -f {guess} -t UTF-8" in done.err
    assert not Path("r").exists()


def test_a_min_count_that_leaves_no_word_is_refused(cli) -> None:
    Path("book.txt").write_text("one two three four " * 8)
    done = cli("fit", "skip_gram", "book.txt", *HOW, "--data.min_count", 900)
    assert "no token of book.txt occurs 900 times" in done.err

"""Words are told by the cosines of their vectors, and analogies by sums of unit vectors."""

from pathlib import Path

import pytest
import torch

from ancestral.data import Split
from ancestral.evaluation import WordVectors, evaluate_loss, read_questions, word_vectors
from ancestral.interface import Categories, Event, InputError, Real
from ancestral.models.linear.kmeans import KMeans
from ancestral.models.pretext.skip_gram import SkipGram

# Vectors of length 1 of which two differ as the other two do, and a long one that is near to no sum.
PLANTED = WordVectors(
    ["man", "woman", "king", "queen", "Queen", "far"],
    torch.tensor(
        [[0.6, 0.0, 0.8], [0.0, 0.6, 0.8], [0.8, 0.0, -0.6], [0.2, 0.8, -0.6], [0.25, 0.8, -0.5], [900.0, 0.0, 0.0]]
    ),
)


def test_the_nearest_words_are_those_of_the_smallest_angle_however_long_a_vector_is() -> None:
    unit = torch.nn.functional.normalize(PLANTED.vectors, dim=1)
    cosines = {word: float(unit[2] @ vector) for word, vector in zip(PLANTED.words, unit)}
    found = PLANTED.nearest("king", 3)
    assert [word for word, _ in found] == ["far", "Queen", "queen"]
    assert dict(found) == pytest.approx({word: cosines[word] for word, _ in found})
    assert len(PLANTED.nearest("king", 99)) == 5


def test_an_analogy_is_the_word_nearest_to_the_sum_of_unit_vectors_but_for_the_three() -> None:
    longer = WordVectors(PLANTED.words, PLANTED.vectors * torch.tensor([7.0, 0.1, 3.0, 2.0, 5.0, 1.0])[:, None])
    for vectors in (PLANTED, longer):
        best = vectors.analogy("man", "woman", "king")
        assert best[0][0] == "queen"
        assert {word for word, _ in best} == {"queen", "Queen", "far"}
    unit = torch.nn.functional.normalize(PLANTED.vectors, dim=1)
    wanted = unit[1] - unit[0] + unit[2]
    assert best[0][1] == pytest.approx(float(unit[3] @ wanted / wanted.norm()))


def test_the_end_of_a_line_is_no_answer() -> None:
    words = WordVectors([*PLANTED.words, "\n"], torch.cat([PLANTED.vectors, PLANTED.vectors[3:4]]))
    assert words.nearest("queen", 99) == PLANTED.nearest("queen", 99)
    assert words.analogy("man", "woman", "king", 99) == PLANTED.analogy("man", "woman", "king", 99)
    ends = WordVectors([word.replace("Queen", "\n") for word in PLANTED.words], PLANTED.vectors.clone())
    ends.vectors[4] = 9 * (ends.vectors[1] - ends.vectors[0] + ends.vectors[2])
    assert ends.error({"royal": [("man", "woman", "king", "queen")]}).error == 0


def test_the_error_is_the_share_of_known_questions_answered_wrongly() -> None:
    questions = {
        "royal": [
            ("man", "woman", "king", "queen"),
            ("Man", "Woman", "King", "QUEEN"),
            ("man", "king", "woman", "far"),
        ],
        "unknown": [("man", "woman", "king", "pope")],
    }
    found = PLANTED.error(questions)
    assert (found.n, found.skipped, dict(found.sections)) == (3, 1, {"royal": (2, 3)})
    assert found.error == pytest.approx(1 / 3)
    with pytest.raises(InputError, match="none has words that are all in the vocabulary"):
        PLANTED.error({"unknown": questions["unknown"]})


def test_words_of_a_question_and_rarer_spellings_are_no_answers_and_every_question_counts_once() -> None:
    words = {"a": (1, 0, 0), "b": (0.95, 0.3, 0), "c": (0, 0, 1), "d": (0, 0.9, 0.8), "e": (0, -1, 0), "f": (0, 1, 0)}
    # The sum is nearest to c itself, as which C counts; the rarer D lies elsewhere.
    words |= {"C": (0, 0, 1), "D": (1, 0, 0.1)}
    vectors = WordVectors([*words], torch.tensor([*words.values()], dtype=torch.float32))
    found = vectors.error({"one": [("a", "b", "c", "d")], "two": [("a", "b", "c", "e"), ("A", "B", "C", "f")]})
    assert dict(found.sections) == {"one": (1, 1), "two": (0, 2)}
    assert found.error == pytest.approx(2 / 3)


def test_a_word_that_is_not_there_is_refused_with_the_nearest_one() -> None:
    with pytest.raises(InputError, match="no word 'quen' among the 6 of the vocabulary .did you mean 'queen'"):
        PLANTED.nearest("quen")
    with pytest.raises(InputError, match="a word is empty"):
        PLANTED.analogy("man", " ", "king")


def test_word_vectors_are_the_features_of_each_word_alone() -> None:
    model = SkipGram(Event((5,), Categories(6)), dimensions=3)
    found = word_vectors(model, ["", "<unknown>", "the", "and", "of", "\n"])
    assert list(found.words) == ["the", "and", "of", "\n"]
    assert torch.equal(found.vectors, model.words.weight.detach()[2:])
    with pytest.raises(InputError, match="the vocabulary has 2"):
        word_vectors(model, ["", "<unknown>"])
    with pytest.raises(InputError, match="no vectors of words"):
        word_vectors(KMeans(Event((2,), Real()), components=2), ["a"] * 4)


def test_questions_are_read_by_section(tmp_path: Path) -> None:
    file = tmp_path / "questions.txt"
    file.write_text(
        ": family\nboy girl man woman\n\n: capital cities\nAthens Greece Rome Italy\nRome Italy Athens Greece\n"
    )
    assert {name: len(asked) for name, asked in read_questions(file).items()} == {"family": 1, "capital cities": 2}
    file.write_text("boy girl man\n")
    with pytest.raises(InputError, match="line 1 of .* must be four words"):
        read_questions(file)
    file.write_text(": family\n")
    with pytest.raises(InputError, match="holds no questions"):
        read_questions(file)
    with pytest.raises(InputError, match="there is no file"):
        read_questions(tmp_path / "none.txt")


def test_the_held_out_loss_is_the_mean_over_rows_whatever_the_batches() -> None:
    x = torch.randint(2, 6, (7, 9))
    model = SkipGram(Event((9,), Categories(6)), dimensions=3, window=1)
    torch.nn.init.zeros_(model.words.weight)  # then every pair costs (k + 1) ln 2
    pair = 6 * torch.tensor(2.0).log().item()
    for batch_size in (7, 3):
        found = evaluate_loss(model, Split(x, model.event), batch_size=batch_size)
        assert found.n == 7
        assert (found.loss, found.parts["pair"]) == pytest.approx((16 * pair, pair), rel=1e-5)

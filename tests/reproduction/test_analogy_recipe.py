"""The recipe of word analogies: what it needs, and what stands beside it."""

from pathlib import Path

import pytest
import torch

from ancestral.data import load_data
from ancestral.evaluation import WordVectors
from ancestral.interface import InputError
from ancestral.registry import build
from ancestral.reproduction import load_recipe, measures, reproduce
from ancestral.reproduction.measurement import Trained
from ancestral.reproduction.metrics import words
from ancestral.training import fit


def test_without_gensim_it_says_what_to_install_before_any_training(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(measures, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"needs gensim, .* `pip install -c constraints.txt gensim`"):
        reproduce("skip-gram-kjv", results_dir=tmp_path / "results", runs_dir=tmp_path / "runs")
    assert not list(tmp_path.iterdir())


def test_gensim_is_told_the_same_text_and_the_same_settings(data_root: str, monkeypatch) -> None:
    told: dict[str, object] = {}

    def gensim(sentences: list[list[str]], **settings: object) -> WordVectors:
        told.update(settings, sentences=sentences)
        return WordVectors(["a", "b", "c", "d"], torch.eye(4))

    questions = {"letters": [("a", "b", "c", "d"), ("b", "a", "d", "a")]}
    monkeypatch.setattr(words, "gensim_word2vec", gensim)
    monkeypatch.setattr(words, "google_questions", lambda: questions)
    recipe = load_recipe("skip-gram-kjv")
    data = load_data(recipe.data, data_root=data_root, **recipe.data_options)
    model = build(recipe.model, data, **recipe.model_settings)
    report = fit(model, data.train.take(range(8)), epochs=7, progress=False)
    trained = Trained(recipe, 3, model, data, report)
    # The only word left answers the first question; the answer of the second is a word that it asks with.
    assert measures.MEASURES["analogy error"].baselines["gensim"](trained) == 50
    sentences = told.pop("sentences")
    assert isinstance(sentences, list)
    assert told == {**recipe.model_settings, "rate": 0.025, "final": 0.004, "epochs": 7, "seed": 3}
    ids = {token: number for number, token in enumerate(data.vocabulary)}
    tokens = data.train.sequences[0]
    assert max(map(len, sentences)) <= 256
    assert [ids[word] for words in sentences for word in words] == tokens[tokens > 1].tolist()

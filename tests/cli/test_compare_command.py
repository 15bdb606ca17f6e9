"""`ancestral compare`: what the terminal shows of a comparison."""

import re
from pathlib import Path


def test_a_comparison_and_its_report(cli, tmp_path: Path) -> None:
    done = cli("compare", "--models", "ppca,made,dcgan,kmeans", "--minutes", 0.1, "-o", "out/report.html")
    assert done.code == 0, done.err
    table = done.out[done.out.index("likelihood, best first") :]
    # The ruler's zero stands in the table: 64 pixels of 17 levels, about 2.43 bits/dim.
    assert re.search(r"independent histogram +baseline .* 2\.4\d\d±", table)
    assert table.index("independent histogram") < table.index("ppca")
    assert re.search(r"(\w+) describes digits best|No model beats the independent histogram on digits", table)
    assert table.index("without a density") < table.index("dcgan")
    assert "ancestral compare --models" in (tmp_path / "out" / "report.html").read_text()
    assert {path.name for path in tmp_path.iterdir()} == {"out"}


def test_a_model_that_fails_does_not_end_the_comparison(cli) -> None:
    done = cli("compare", "two-moons", "--models", "dcgan,gaussian_mixture", "--minutes", 0.1, "--seeds", 2)
    assert done.code == 0
    assert "dcgan: " in done.out
    assert "standard deviation over 2 seeds" in done.out
    assert "not in the table" in done.out


def test_a_context_is_named_and_used(cli) -> None:
    done = cli("compare", "digits", "--data.context", "labels", "--models", "made", "--minutes", 0.05)
    assert done.code == 0, done.err
    assert "(1, 8, 8), 17 levels, given one of 10 categories" in " ".join(done.out.split())
    assert "give one of them" in cli("compare", "--data.context", "labels", "--context", "labels").err


def test_names_of_models_are_some_and_different(cli) -> None:
    for given, words in {
        "": "--models takes names with commas between",
        "made,,vae": "--models takes names",
        "made,made": "made is named twice",
    }.items():
        done = cli("compare", "--models", given)
        assert done.code != 0
        assert words in done.err
        assert len(done.err.strip().splitlines()) == 1

"""The main job, on a small scale."""

import re
from pathlib import Path

from ancestral.cli.comparison import default_models
from ancestral.data import load_data
from ancestral.registry import list_models


def test_a_comparison_and_its_report(cli, tmp_path: Path) -> None:
    done = cli("compare", "--models", "ppca,made,dcgan,kmeans", "--minutes", 0.1, "-o", "out/report.html")
    assert done.code == 0, done.err
    table = done.out[done.out.index("likelihood, best first") :]
    # The ruler's zero stands in the table: 64 pixels of 17 levels, about 2.43 bits/dim.
    assert re.search(r"independent histogram +baseline .* 2\.4\d\d±", table)
    assert table.index("independent histogram") < table.index("ppca")
    assert table.index("without a density") < table.index("dcgan")
    report = (tmp_path / "out" / "report.html").read_text()
    assert not re.search(r"""(?:src|href)=["'](?!data:)|https?://|@import""", report)
    assert report.count("data:image/png;base64,") >= 5  # real data, three models, curves
    for words in ("ancestral compare --models", "lower bound", "torch 2", "split by seed 0"):
        assert words in report
    assert {path.name for path in tmp_path.iterdir()} == {"out"}


def test_a_model_that_fails_does_not_end_the_comparison(cli) -> None:
    done = cli("compare", "two-moons", "--models", "dcgan,gaussian_mixture", "--minutes", 0.1, "--seeds", 2)
    assert done.code == 0
    assert "dcgan: " in done.out
    assert "standard deviation over 2 seeds" in done.out
    assert "not in the table" in done.out


def test_each_family_has_a_model_for_images_and_for_vectors() -> None:
    families = {info.name: info.family for info in list_models()}
    digits, moons = (default_models(load_data(name)) for name in ("digits", "two-moons"))
    assert {families[name] for name in digits} == set(families.values())
    assert {families[name] for name in moons} == set(families.values()) - {"autoregressive"}

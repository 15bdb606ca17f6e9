"""What the README and the guide show runs."""

import re
import shlex
from pathlib import Path

import pytest

from ancestral import registry
from ancestral.cli.main import main

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
BLOCKS = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
#: Of each block of the guide's walk through a table its language, and what it holds.
WALK = re.findall(
    r"```(python|)\n(.*?)```", (ROOT / "docs" / "guide.md").read_text().split("\n## ")[3], re.DOTALL
)  # fmt: skip
QUICK = {"--minutes 0.5": "--minutes 0.02", "--epochs 10": "--epochs 1", "-n 1000": "-n 100"}


#: The same of its pictures of a latent space.
PICTURES = re.findall(
    r"```(python|)\n(.*?)```",
    (ROOT / "docs" / "guide.md").read_text().split("\n## Pictures of a latent space")[1].split("\n## ")[0],
    re.DOTALL,
)


@pytest.mark.parametrize("block", BLOCKS, ids=["use", "compare", "a model of your own"])
def test_the_python_of_the_readme_runs(block: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("ancestral.registry._MODELS", dict(registry._discovered()))
    exec(compile(block.replace("epochs=20", "epochs=1"), str(README), "exec"), {"__name__": "readme"})


@pytest.mark.filterwarnings("ignore:.*spikes", "ignore:.*spike", "ignore:.*real against real")
def test_the_walk_through_a_table_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    _run(WALK)
    for name in ("report.html", "scores.csv", "full.csv", "best.csv", "like-people.csv", "pairs.png"):
        assert (tmp_path / name).exists()


def test_the_pictures_of_a_latent_space_are_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    _run(PICTURES)
    drawn = {path.name for path in tmp_path.glob("*.png")}
    assert drawn == {
        f"{name}.png" for name in ["reconstructions", "walk", "traversals", "manifold", "analogies", "samples", "five"]
    }


def _run(blocks: list[tuple[str, str]]) -> None:
    for language, block in blocks:
        for long, short in QUICK.items():
            block = block.replace(long, short)
        if language:
            exec(compile(block, "guide.md", "exec"), {"__name__": "guide"})
            continue
        for line in block.splitlines():
            words = shlex.split(line, comments=True)
            assert words[0] == "ancestral"
            assert main(words[1:]) == 0, line

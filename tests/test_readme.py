"""What the README shows runs."""

import re
from pathlib import Path

import pytest

from ancestral import registry

README = Path(__file__).parents[1] / "README.md"
BLOCKS = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)


@pytest.mark.parametrize("block", BLOCKS, ids=["use", "compare", "a model of your own"])
def test_the_python_of_the_readme_runs(block: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("ancestral.registry._MODELS", dict(registry._discovered()))
    exec(compile(block.replace("epochs=20", "epochs=1"), str(README), "exec"), {"__name__": "readme"})

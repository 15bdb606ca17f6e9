"""What all flows refuse."""

import pytest

from ancestral.interface import Event, InputError, Real
from ancestral.registry import build

FLOWS = {"planar_flow": "length", "radial_flow": "length", "maf": "blocks", "iaf": "blocks", "realnvp": "blocks"}


@pytest.mark.parametrize("name", FLOWS)
def test_a_flow_needs_an_axis_and_a_map(name: str) -> None:
    with pytest.raises(InputError, match="does not support"):
        build(name, Event((), Real()))
    with pytest.raises(InputError, match=r"at least 1"):
        build(name, Event((3,), Real()), **{FLOWS[name]: 0})

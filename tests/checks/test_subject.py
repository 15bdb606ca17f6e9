"""The model under test: how far its copies are, and what one observation costs."""

import torch
from gallery import VAE
from gallery_rows import Penalised

from ancestral.checks.subject import Operations, Subject
from ancestral.interface import Model


def test_the_far_copy_is_four_times_as_far() -> None:
    model = VAE()
    subject = Subject(model, seed=0)

    def distance(other: Model) -> float:
        pairs = zip(model.parameters(), other.parameters(), strict=True)
        return float(torch.cat([(a - b).detach().flatten() for a, b in pairs]).norm())

    assert 2 < distance(subject.far) / distance(subject.precise) < 8


def test_products_are_counted_in_both_backward_passes() -> None:
    weight, x = torch.randn(3, 2, requires_grad=True), torch.randn(4, 2, requires_grad=True)
    with Operations() as counter:
        (slopes,) = torch.autograd.grad((x @ weight.T).sum(), x, create_graph=True)
        slopes.square().sum().backward()
    product = 2 * 4 * 3 * 2
    # x W^T and, in the first backward, g W; in the second the derivative of the latter by W.
    assert counter.total == 3 * product
    assert Subject(Penalised(), seed=0).cost > 0


def test_other_inputs_differ_everywhere() -> None:
    subject = Subject(VAE(), seed=0)
    rows = subject.inputs(subject.model, 64)
    other = subject.other_inputs(subject.model, rows)
    assert bool((rows.x != other.x).all())
    assert bool((rows.known != other.known).all())

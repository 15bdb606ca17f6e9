import pytest
import torch

from ancestral.bijections import ActNorm


@pytest.mark.parametrize("shape", [(3,), (3, 5, 4)])
def test_the_first_training_batch_comes_out_standardised(shape: tuple[int, ...]) -> None:
    x = 7 + 5 * torch.randn(200, *shape, dtype=torch.float64)
    norm = ActNorm(3).double()
    torch.testing.assert_close(norm.eval()(x)[0], x)  # The identity until it is trained.
    z, log_det = norm.train()(x)
    values = z.transpose(0, 1).flatten(1)
    torch.testing.assert_close(values.mean(1), torch.zeros(3, dtype=torch.float64))
    torch.testing.assert_close(values.var(1, unbiased=False), torch.ones(3, dtype=torch.float64))
    pixels = x[0, 0].numel()
    deviation = x.transpose(0, 1).flatten(1).std(1, unbiased=False)
    torch.testing.assert_close(log_det, -pixels * deviation.log().sum().expand(200))


def test_only_the_first_batch_starts_it_also_after_a_load() -> None:
    norm = ActNorm(2)
    norm(torch.randn(50, 2))
    before = {name: value.clone() for name, value in norm.state_dict().items()}
    loaded = ActNorm(2)
    loaded.load_state_dict(before)
    loaded.train()(100 + torch.randn(50, 2))
    for name, value in loaded.state_dict().items():
        assert torch.equal(value, before[name])


def test_degenerate_first_batches() -> None:
    norm = ActNorm(2)
    norm(torch.tensor([[1.0, 2.0]]))  # One row has no variance: it waits.
    assert not norm.initialized
    z, _ = norm(torch.tensor([[1.0, 2.0], [3.0, 2.0]]))
    assert norm.initialized
    assert torch.isfinite(z).all()


def test_what_does_not_vary_is_centred_and_not_scaled() -> None:
    norm = ActNorm(3)
    z, log_det = norm(torch.stack([torch.randn(64), torch.zeros(64), torch.full((64,), 1e6)], 1))
    assert norm.log_scale[1:].tolist() == [0.0, 0.0]
    assert bool((z[:, 1:] == 0).all())
    assert float(log_det[0].detach()) == float(norm.log_scale[0].detach())

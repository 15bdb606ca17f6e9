"""What every bijection promises: its inverse and its log-determinant, far outside the data too."""

import pytest
import torch

from tests.bijections.bijection_cases import CASES, jacobians, perturbed, relative_error


@pytest.mark.parametrize("scale", [1.0, 30.0, 1e3])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-8), (torch.float32, 1e-4)])
@pytest.mark.parametrize("name", CASES)
def test_inverse_undoes_forward(name: str, dtype: torch.dtype, tolerance: float, scale: float) -> None:
    make, shape = CASES[name]
    bijection = perturbed(make()).to(dtype)
    x = scale * torch.randn(64, *shape, dtype=dtype)
    z, log_det = bijection(x)
    back, log_det_back = bijection.inverse(z)
    assert relative_error(back, x) < tolerance
    assert relative_error(-log_det_back, log_det) < tolerance
    again, _ = bijection(bijection.inverse(x.reshape(z.shape))[0])
    assert relative_error(again, x.reshape(z.shape)) < tolerance


@pytest.mark.parametrize("scale", [1.0, 1e3])
@pytest.mark.parametrize("name", CASES)
def test_log_det_is_that_of_the_autograd_jacobian(name: str, scale: float) -> None:
    make, shape = CASES[name]
    bijection = perturbed(make()).double()
    x = scale * torch.randn(4, *shape, dtype=torch.float64)
    z, log_det = bijection(x)
    expected = torch.linalg.slogdet(jacobians(lambda x: bijection(x)[0], x)).logabsdet
    assert relative_error(log_det, expected) < 1e-8
    low, low_log_det = bijection.float()(x.float())
    assert relative_error(low.double(), z) < 1e-4
    assert relative_error(low_log_det.double(), expected) < 1e-4

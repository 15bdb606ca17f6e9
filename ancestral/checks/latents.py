"""What a flow promises: an inverse, and the log-determinant of its Jacobian."""

import copy

import torch
from torch import Tensor

from ancestral.checks.report import Property, Undecided, require
from ancestral.checks.subject import Subject
from ancestral.dequantization import DequantizedDensity
from ancestral.distributions import Delta
from ancestral.interface import Decoder, Encoder, ExactDensity, Model, Real

#: Dimensions for which a full Jacobian is taken.
MOST_JACOBIAN = 256


def codes_decode_to_the_data(subject: Subject) -> None:
    context = subject.contexts(8)
    if isinstance(subject.original, DequantizedDensity):
        model, x = subject.precise, subject.observations(8, torch.float64)
        assert isinstance(model, Encoder)
        assert isinstance(model, Decoder)
        back = model.decode(model.encode(x, context=context).mean, context=context)
        # Levels come back as they were, the real columns of a table but for rounding.
        wrong = (back - x).abs() > torch.where(subject.original.ordered, 0.0, 1e-9 * (1 + x.abs()))
        require(not bool(wrong.any()), f"decode(encode(x).mean) differs from x in {int(wrong.sum())} values")
        return
    single = copy.deepcopy(subject.model).float()
    for model, tolerance in ((subject.precise, 1e-8), (single, 1e-4)):
        assert isinstance(model, Encoder)
        assert isinstance(model, Decoder)
        for scale in (1.0, 100.0):
            x = subject.observations(8, torch.float64, spread=scale)
            x = x if model.standardization is not None else x.to(model.dtype)
            z = model.encode(x, context=context).mean
            back = model.decode(z, context=context)
            error = _relative_error(model._to_core(x), model._to_core(back))
            require(
                error <= tolerance,
                f"decode is not the inverse of encode: in {model.dtype}, at data of scale {scale:g}, x and"
                f" decode(encode(x).mean) differ by {error:.1e} relative (at most {tolerance:.0e})",
            )


def log_determinant_is_the_jacobian(subject: Subject) -> None:
    model = subject.precise
    if subject.event.size > MOST_JACOBIAN:
        raise Undecided(f"{subject.event.size} dimensions are too many for a Jacobian (at most {MOST_JACOBIAN})")
    for scale in (1.0, 100.0):
        x, context = subject.observations(4, torch.float64, spread=scale), subject.contexts(4)
        assert isinstance(model, Encoder)
        assert isinstance(model, ExactDensity)
        assert isinstance(model, Decoder)
        require(model.has_prior, "a flow needs a prior: the density of its codes")
        log_prob = model.log_prob(x, context=context)
        base = model.log_prior(model.encode(x, context=context).mean, context=context)
        log_det = torch.stack([_log_det(model, row, context, i) for i, row in enumerate(x)])
        error = (log_prob - base - log_det).abs() / (1 + log_prob.abs() + base.abs() + log_det.abs())
        require(
            bool((error <= 1e-8).all()),
            f"log_prob(x) must be log_prior(z) + ln |det dz/dx| = {float(base[0]):.6f} + {float(log_det[0]):.6f},"
            f" got {float(log_prob[0]):.6f}: {_diagnosis(log_prob - base, log_det)}",
        )


def _log_det(model: Encoder, x: Tensor, context: Tensor | None, row: int) -> Tensor:
    """ln |det dz/dx| at one observation by autograd: copies of it, one for each row of the Jacobian."""
    size = model.event.size
    copies = x.expand(size, *x.shape).clone().requires_grad_(True)
    repeated = None if context is None else context[row].expand(size, *context.shape[1:])
    with torch.enable_grad():
        z = model.encode(copies, context=repeated).mean
    (jacobian,) = torch.autograd.grad(z.diagonal().sum(), copies)
    return torch.linalg.slogdet(jacobian.reshape(size, size)).logabsdet


def _diagnosis(found: Tensor, log_det: Tensor) -> str:
    guesses = {
        "the log-determinant is forgotten": 0 * log_det,
        "the log-determinant has the wrong sign": -log_det,
    }
    for fault, guess in guesses.items():
        if torch.allclose(found, guess, rtol=1e-6, atol=1e-6):
            return fault
    return f"the log-determinant is off by {float((found - log_det)[0]):.6f}; a layer's own may be forgotten or wrong"


def _relative_error(x: Tensor, back: Tensor) -> float:
    scale = x.flatten(1).abs().amax(1).clamp(min=1e-30)
    return float(((back - x).flatten(1).abs().amax(1) / scale).max())


def _is_flow(model: Model, x: Tensor, context: Tensor | None) -> bool:
    if not (isinstance(model, Encoder) and isinstance(model, Decoder)):
        return False
    return model.latent_size == model.event.size and isinstance(model.encode(x, context=context), Delta)


def _invertible(subject: Subject) -> str | None:
    dequantized = isinstance(subject.original, DequantizedDensity)
    if not dequantized and not isinstance(subject.original, ExactDensity):
        return "it is no flow"
    if not dequantized and not isinstance(subject.event.support, Real):
        return "its data are discrete"
    flow = _is_flow(subject.model, subject.observations(2), subject.contexts(2))
    return None if flow else "it is no flow"


def _differentiable_flow(subject: Subject) -> str | None:
    if isinstance(subject.original, DequantizedDensity):
        return "its density is a bound"
    return _invertible(subject)


PROPERTIES = (
    Property("codes decode to the data", _invertible, codes_decode_to_the_data),
    Property("the log-determinant is that of the Jacobian", _differentiable_flow, log_determinant_is_the_jacobian),
)

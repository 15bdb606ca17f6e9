"""Multilayer perceptrons."""

from collections.abc import Callable, Mapping, Sequence

from torch import nn

from ancestral.interface import InputError

ACTIVATIONS: Mapping[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "tanh": nn.Tanh,
    "leaky_relu": lambda: nn.LeakyReLU(0.2),
}


def activation(name: str) -> nn.Module:
    """The activation of that name: "relu", "tanh" or "leaky_relu" (slope 0.2)."""
    if name not in ACTIVATIONS:
        raise InputError(f"activation must be one of {', '.join(ACTIVATIONS)}, got {name!r}")
    return ACTIVATIONS[name]()


def mlp(inputs: int, hidden: Sequence[int], outputs: int, activation_name: str) -> nn.Sequential:
    """Linear layers of the widths `hidden`, each with its activation, then a linear layer to `outputs`."""
    check_widths(hidden)
    layers: list[nn.Module] = []
    for width in hidden:
        layers += [nn.Linear(inputs, width), activation(activation_name)]
        inputs = width
    return nn.Sequential(*layers, nn.Linear(inputs, outputs))


def check_widths(hidden: Sequence[int], name: str = "hidden") -> None:
    """Raise `InputError` unless every width of a network is at least 1."""
    if any(width < 1 for width in hidden):
        raise InputError(f"{name} must be a list of widths of at least 1, got {list(hidden)}")

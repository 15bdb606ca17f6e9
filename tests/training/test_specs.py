"""Optimizers and schedules by name."""

import pytest

from ancestral.interface import SGD, Adam, InputError, RMSProp
from ancestral.training import Constant, Cosine, training_arguments


@pytest.mark.parametrize(
    ("spelled", "meant"),
    [
        ({"optimizer": "adam"}, {"optimizer": Adam()}),
        ({"optimizer": "RMSProp"}, {"optimizer": RMSProp()}),
        ({"optimizer": {"name": "sgd", "lr": 1}}, {"optimizer": SGD(1.0)}),
        ({"optimizer": {"name": "adam", "betas": [0.5, 0.9]}}, {"optimizer": Adam(betas=(0.5, 0.9))}),
        (
            {
                "optimizer": {"discriminator": "sgd", "generator": {"name": "adam", "lr": 1e-4}},
                "lr": {"generator": 1.0},
            },
            {"optimizer": {"discriminator": SGD(), "generator": Adam(1e-4)}, "lr": {"generator": 1.0}},
        ),
        ({"schedule": "constant", "epochs": 3}, {"schedule": Constant(), "epochs": 3}),
        ({"schedule": {"name": "cosine", "warmup_steps": 50}}, {"schedule": Cosine(50)}),
        ({"optimizer": None, "schedule": None}, {"optimizer": None, "schedule": None}),
    ],
)
def test_what_is_spelled_is_what_is_meant(spelled: dict[str, object], meant: dict[str, object]) -> None:
    assert training_arguments(spelled) == meant


@pytest.mark.parametrize(
    ("spelled", "words"),
    [
        ({"optimiser": "adam"}, "no setting 'optimiser' (did you mean 'optimizer'?)"),
        ({"optimizer": "adamm"}, "no optimizer 'adamm' (did you mean 'adam'?)"),
        ({"optimizer": {"lr": 1e-3}}, "the optimizer needs a name, such as adam or {name: adam, ...}"),
        ({"optimizer": {}}, "the optimizer needs a name"),
        ({"schedule": "step"}, "the schedule 'step' needs every, as in {name: step, every: ...}"),
        ({"optimizer": {"generator": {"lr": 1e-3}}}, "the optimizer of generator needs a name"),
        ({"optimizer": {"name": "adam", "momentum": 0.9}}, "has no setting 'momentum'"),
        ({"optimizer": {"name": "adam", "lr": "fast"}}, "lr of the optimizer must be a number, got 'fast'"),
        ({"optimizer": {"name": "adam", "betas": 0.9}}, "betas of the optimizer must be a list of 2 values, got 0.9"),
        ({"schedule": {"name": "step", "every": 2.5}}, "every of the schedule must be a whole number, got 2.5"),
        ({"schedule": "quadratic"}, "no schedule 'quadratic'"),
    ],
)
def test_what_is_wrong_is_said_in_plain_words(spelled: dict[str, object], words: str) -> None:
    with pytest.raises(InputError) as caught:
        training_arguments(spelled)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)

"""A class is told to a model as its context or as a latent; the style stays."""

import pytest
import torch

from ancestral.evaluation import analogies, class_input
from ancestral.interface import Categories, Event, InputError, Real
from ancestral.models.adversarial.gan import GAN
from ancestral.models.flow.realnvp import RealNVP
from ancestral.models.linear.gaussian_mixture import GaussianMixture
from ancestral.models.variational.m1_m2 import M1M2
from tests.evaluation.styled_classes import CLASSES, StyledClasses, rows

LABELS = Event((), Categories(3))


def test_how_a_model_is_told_a_class() -> None:
    as_context = class_input(RealNVP(Event((2,), Real()), context_event=LABELS, hidden=[4]))
    assert as_context is not None
    assert (as_context.classes, as_context.latent) == (3, None)
    as_latent = class_input(StyledClasses())
    assert as_latent is not None
    assert (as_latent.classes, as_latent.latent) == (CLASSES, "y")
    # The cluster of a mixture, its only latent, is no class of the data; nor is a context of numbers.
    assert class_input(GaussianMixture(Event((2,), Real()), components=3)) is None
    grey = RealNVP(Event((2,), Real()), context_event=Event((1,), Real()), hidden=[4])
    assert class_input(grey) is None
    assert class_input(RealNVP(Event((2,), Real()), hidden=[4])) is None


def test_codes_drawn_of_classes_have_these_and_styles_of_their_own() -> None:
    model, labels = StyledClasses(), torch.tensor([2, 0, 1, 1] * 500)
    how = class_input(model)
    assert how is not None
    parts = model.split_latents(how.draw(model, labels, torch.Generator().manual_seed(0)))
    assert (parts["y"].argmax(1) == labels).all()
    assert parts["z"].mean() == pytest.approx(5, abs=0.2)
    assert parts["z"].std() == pytest.approx(2, abs=0.1)


def test_analogies_of_a_class_latent_replace_it_and_keep_the_style() -> None:
    x, _ = rows(7)
    shown = analogies(StyledClasses(), x).view(7, 1 + CLASSES, 5)
    assert (shown[:, 0] == x.flatten(1)).all()
    assert (shown[:, 1:, :CLASSES] == torch.eye(CLASSES)).all()
    assert (shown[:, 1:, CLASSES:] == x.flatten(1)[:, None, CLASSES:]).all()


def test_features_below_the_class_follow_it() -> None:
    model = M1M2(Event((6,), Real()), classes=3, feature_dim=2, latent_dim=2, hidden=[4], label_hidden=[4])
    how = class_input(model)
    assert how is not None
    assert how.below == ("z1",)
    assert how.latent == "y"
    z = model.sample_latents(300, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(300) % 3
    told, _ = how.tell(model, z, labels, torch.Generator().manual_seed(1))
    old, new = model.split_latents(z), model.split_latents(told)
    assert (new["y"].argmax(1) == labels).all()
    torch.testing.assert_close(new["z2"], old["z2"])
    # What z1 is given this class and this style, not what it was.
    drawn = model.sample_latents(
        300, given={"y": new["y"], "z2": old["z2"]}, generator=torch.Generator().manual_seed(1)
    )
    torch.testing.assert_close(told, drawn)


def test_analogies_of_a_conditional_flow_return_an_observation_under_its_own_class() -> None:
    model = RealNVP(Event((2,), Real()), context_event=LABELS, hidden=[16])
    for parameter in model.parameters():  # far from the identity that it starts as
        parameter.data += 0.3 * torch.randn_like(parameter)
    model = model.double()
    x, y = torch.randn(9, 2).double(), torch.arange(9) % 3
    shown = analogies(model, x, y).view(9, 4, 2)
    own = shown[torch.arange(9), 1 + y]
    torch.testing.assert_close(own, x)
    other = shown[torch.arange(9), 1 + (y + 1) % 3]
    assert (other - x).norm(dim=1).min() > 1e-2
    # Under one class every code decodes as under any call with that class.
    z = model.encode(x, context=y).mean
    torch.testing.assert_close(shown[:, 2], model.decode_mean(z, context=torch.ones(9).long()))


def test_what_a_model_without_a_class_or_an_encoder_lacks_is_said() -> None:
    with pytest.raises(InputError, match="lacks a class: neither a context of labels nor a one-hot latent"):
        analogies(GaussianMixture(Event((2,), Real()), components=3), torch.zeros(2, 2))
    gan = GAN(Event((2,), Real()), context_event=LABELS, hidden=[4])
    with pytest.raises(InputError, match="lacks an encoder"):
        analogies(gan, torch.zeros(2, 2), torch.zeros(2).long())

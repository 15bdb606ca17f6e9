"""Visual analogies (Kingma et al. 2014, "Semi-supervised learning with deep generative models", figure 1): the style of
an observation, what its latents hold beside the class, decoded again under every class."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64, Num
from torch import Tensor
from torch.nn.functional import one_hot

from ancestral.evaluation.latents import decoded
from ancestral.evaluation.traversals import latent_spread
from ancestral.interface import Classifier, Decoder, Encoder, Event, InputError, Model


@dataclass(frozen=True)
class ClassInput:
    """How a model is told a class: as its context, or as one of its latents, which is one-hot."""

    classes: int
    #: The latent that is the class; None where the class is the context.
    latent: str | None = None
    #: Latents whose prior hangs on the class, and which therefore are no style: drawn anew for another class.
    below: tuple[str, ...] = ()

    def tell(
        self,
        model: Decoder,
        z: Float[Tensor, "batch latent"],
        labels: Int64[Tensor, " batch"],
        generator: torch.Generator | None = None,
    ) -> tuple[Tensor, Tensor | None]:
        """The codes and the context, (batch,) or None, by which the model decodes the style of z under the labels."""
        if self.latent is None:
            return z, labels
        style = {name: part for name, part in model.split_latents(z).items() if name not in self.below}
        given = {**style, self.latent: one_hot(labels, self.classes).to(z)}
        return model.sample_latents(len(z), given=given, generator=generator), None

    def draw(
        self, model: Decoder, labels: Int64[Tensor, " batch"], generator: torch.Generator | None = None
    ) -> Float[Tensor, "batch latent"]:
        """A code from the prior for each label."""
        if self.latent is None:
            return model.sample_latents(len(labels), context=labels, generator=generator)
        given = {self.latent: one_hot(labels, self.classes)}
        return model.sample_latents(len(labels), given=given, generator=generator)


def takes_class(context_event: Event | None) -> bool:
    """Whether what a model is conditioned on is a label."""
    return context_event is not None and context_event.shape == () and context_event.values is not None


def class_input(model: Model) -> ClassInput | None:
    """How the model is told a class; None where it is told none.

    A class is a context of labels, or, of a classifier, a one-hot latent of as many values as there are classes with
    other latents beside it. A model whose only latent is one-hot finds clusters: these are no classes of the data.
    """
    event = model.context_event
    if event is not None:
        return ClassInput(event.values) if takes_class(event) and event.values is not None else None
    if (
        isinstance(model, Classifier)
        and isinstance(model, Decoder)
        and model.has_prior
        and len(model.latent_shapes) > 1
    ):
        spread = latent_spread(model, generator=_seeded())
        for name, places in spread.one_hot.items():
            if len(places) == model.classes:
                return ClassInput(model.classes, name, _below(model, name))
    return None


def _below(model: Decoder, name: str) -> tuple[str, ...]:
    """The latents whose draw, by the same random numbers, changes with the one-hot latent `name`."""
    style = {
        other: part[0]
        for other, part in model.split_latents(model.sample_latents(1, generator=_seeded())).items()
        if other != name
    }
    below = []
    for other in style:
        kept = {key: part for key, part in style.items() if key != other}
        draws = [
            model.split_latents(model.sample_latents(1, given={**kept, name: code}, generator=_seeded()))[other]
            for code in torch.eye(model.latent_shapes[name][0], device=model.device)[:2]
        ]
        if not torch.equal(*draws):
            below.append(other)
    return tuple(below)


def _seeded() -> torch.Generator:
    return torch.Generator().manual_seed(0)


@torch.no_grad()
def analogies(
    model: Model,
    x: Num[Tensor, "batch *event"],
    context: Tensor | None = None,
    generator: torch.Generator | None = None,
) -> Num[Tensor, "_ *event"]:
    """Each observation, and then what its style decodes to under each class, (batch * (1 + classes), *event.shape).

    The style is the mean of q(z | x), of a conditional model given the observation's own class, which is its `context`.
    Latents below the class (M1+M2's features, given label and style) are drawn anew for each.
    """
    how = class_input(model)
    if not isinstance(model, Encoder) or not isinstance(model, Decoder) or how is None:
        lacks = (
            "a class: neither a context of labels nor a one-hot latent beside others" if how is None else "an encoder"
        )
        raise InputError(f"{model.display_name} draws no analogies: it lacks {lacks}")
    z = model.encode(x, context=context).mean
    labels = torch.arange(how.classes, device=z.device)
    codes, given = how.tell(model, z.repeat_interleave(how.classes, 0), labels.repeat(len(z)), generator)
    drawn = decoded(model, codes, given, generator)
    return torch.cat([x.cpu().to(drawn)[:, None], drawn.unflatten(0, (len(x), -1))], 1).flatten(0, 1)

"""What `reconstruct` and `interpolate` share: a run that both encodes and decodes."""

import torch
from torch import Tensor

from ancestral.cli.runs import Run, open_run
from ancestral.interface import Decoder, Encoder, InputError


def open_autoencoder(path: str) -> tuple[Run, Encoder, Decoder]:
    """The run in `path` with its two abilities, which are one model."""
    trained = open_run(path)
    model = trained.model
    if not isinstance(model, Encoder) or not isinstance(model, Decoder):
        raise InputError(
            f"{model.registered_name} has no latent space to go through: it needs to be both an Encoder and a Decoder "
            "(see `ancestral models`)"
        )
    return trained, model, model


@torch.no_grad()
def decoded(model: Decoder, z: Tensor, context: Tensor | None) -> Tensor:
    """The expected observations of codes, in data units."""
    return model.decode_mean(z, context=context).cpu().float()

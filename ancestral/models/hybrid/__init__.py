"""Hybrids: latent variables and autoregressive decoders in one model."""

#: The models that speak for the family in a comparison: the first that can be built for the data.
REPRESENTATIVES: tuple[str, ...] = ("pixelvae",)

"""Pretext tasks: representations learned without labels, which need not generate anything."""

#: The models that speak for the family in a comparison: none, for they have no samples and no density.
REPRESENTATIVES: tuple[str, ...] = ()

"""The models: a file each, in the order of the lecture; the registry finds them here."""

#: The packages with the models, in the order in which families are listed and compared.
FAMILIES = ("linear", "adversarial", "variational", "flow", "autoregressive", "hybrid", "pretext")

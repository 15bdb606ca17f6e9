"""How large a model is."""

from ancestral.interface import ClosedFormFit, Model


def count_parameters(model: Model) -> int:
    """The number of parameters; of a model that is fitted in closed form they are buffers."""
    tensors = model.buffers() if isinstance(model, ClosedFormFit) else model.parameters()
    return sum(tensor.numel() for tensor in tensors if tensor.is_floating_point())

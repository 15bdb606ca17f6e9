"""How large a model is."""

from ancestral.interface import ClosedFormFit, Model


def count_parameters(model: Model) -> int:
    """The number of parameters; of a model that is fitted in closed form they are buffers, all but the standardisation
    of its data."""
    if not isinstance(model, ClosedFormFit):
        return sum(parameter.numel() for parameter in model.parameters())
    own = [tensor for name, tensor in model.named_buffers() if not name.startswith("standardization.")]
    return sum(tensor.numel() for tensor in own if tensor.is_floating_point())

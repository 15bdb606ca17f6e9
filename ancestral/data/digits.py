"""The handwritten digits that ship with scikit-learn (Alpaydin & Kaynak 1998)."""

import numpy as np

from ancestral.data.assembly import Rows, assemble
from ancestral.data.catalogue import builtin
from ancestral.data.dataset import Data
from ancestral.data.files import Store
from ancestral.data.support import as_tensor
from ancestral.data.twins import with_twin
from ancestral.interface import Levels


@builtin("digits", "(1, 8, 8), 17 levels")
def digits(store: Store, seed: int, twin: str | None = None) -> Data:
    """1,797 handwritten digits of 8x8 with labels, split 80/10/10 by the seed in equal shares of each class.

    With a `twin` (rotated, inverted, thick, coloured, or several as inverted+coloured) two domains without pairs.
    """
    from sklearn.datasets import load_digits

    table = load_digits()
    x = as_tensor(table.images.astype(np.uint8), "digits")[:, None]
    rows = Rows(x, as_tensor(table.target, "digits"))
    data = assemble("digits", {"train": rows}, seed=seed, support=Levels(17), note=f"split by seed {seed}")
    return data if twin is None else with_twin(data, twin, seed)

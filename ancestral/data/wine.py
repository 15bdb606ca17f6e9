"""The wines that ship with scikit-learn (Aeberhard & Forina 1992)."""

from ancestral.data.assembly import Rows, assemble
from ancestral.data.catalogue import builtin
from ancestral.data.dataset import Data
from ancestral.data.files import Store
from ancestral.data.schema import Column, Schema
from ancestral.data.support import as_tensor
from ancestral.interface import Real


@builtin("wine", "(13,), real")
def wine(store: Store, seed: int) -> Data:
    """178 wines of three growers by 13 chemical measurements, split 80/10/10 by the seed in equal shares of each."""
    from sklearn.datasets import load_wine

    table = load_wine()
    rows = Rows(as_tensor(table.data, "wine"), as_tensor(table.target, "wine"))
    classes = [str(name) for name in table.target_names]
    schema = Schema(tuple(Column(str(name), Real()) for name in table.feature_names))
    note = f"split by seed {seed}"
    return assemble("wine", {"train": rows}, seed=seed, support=Real(), classes=classes, schema=schema, note=note)

"""Where cycle consistency is not enough: the way there and back holds, and the pairs are wrong.

Whatever one-to-one map between two domains the generators find, its inverse closes every cycle, and if the map carries
one distribution to the other no discriminator objects: the objective of CycleGAN (Zhu et al. 2017, arXiv:1703.10593)
does not say which image belongs to which. Its networks decide, which change local appearance with ease, and chance.

The same game is played twice on images whose true pairs are hidden from training. For a twin of thicker strokes the
networks come to the true map. For one of thicker strokes that is inverted, too, they may leave bright what is bright:
strokes become ground, and digits of other shapes are made of the dark between them, from which the way back makes the
first digit again. Both games end with cycles that hold alike; whether translations lie near their true partners tells
the two apart. Which map comes out may hang on the seed and on how long the training is.
"""

from collections.abc import Sequence

from matplotlib.figure import Figure

from ancestral.data import load_data
from ancestral.evaluation import evaluate_alignment, identity_alignment
from ancestral.interface import Translator
from ancestral.plots import panels_figure
from ancestral.reproduction.figure import Drawn, Root, figure, fitted, seeded_build
from ancestral.reproduction.measurement import Measurement
from ancestral.reproduction.metrics.translations import ways_shown
from ancestral.training import Cosine

#: Images of each domain that the picture shows.
_SHOWN = 16


@figure(
    model="cyclegan",
    data="mnist",
    metric="alignment error of a translator to thick digits in black on white, whose cycles hold",
    unit="%",
    source="Zhu et al. 2017 (arXiv:1703.10593)",
    notes="beside it the same game on thick digits in white on black; there and back in % of the range of a pixel",
)
def cyclegan_failure(
    seed: int,
    data_root: Root,
    progress: bool,
    *,
    twins: Sequence[str] = ("thick+inverted", "thick"),
    data: str = "mnist",
    channels: int = 8,
    blocks: int = 2,
    discriminator_channels: int = 16,
    steps: int = 1200,
    batch_size: int = 16,
    lr: float = 5e-4,
    candidates: int = 1000,
    pairs: int = 2000,
) -> Drawn:
    """Cycles that close around wrong pairs: CycleGAN on digits that are thicker and inverted, and on thicker ones."""
    panels: dict[str, Figure] = {}
    beside: dict[str, float] = {"chance": 100 * (1 - 1 / candidates)}
    found = {}
    for twin in twins:
        domains = load_data(data, data_root=data_root, twin=twin)
        settings = {"channels": channels, "blocks": blocks, "discriminator_channels": discriminator_channels}
        model = seeded_build("cyclegan", domains, seed, settings)
        assert isinstance(model, Translator)
        schedule = Cosine(warmup_steps=min(50, steps))
        how = {"steps": steps, "batch_size": batch_size, "lr": lr, "schedule": schedule, "seed": seed}
        fitted(model, domains, **how, progress=progress)
        found[twin] = evaluate_alignment(model, domains.test, candidates=candidates, limit=pairs)
        error, back = 100 * found[twin].error, 100 * found[twin].cycle_error
        beside[f"{twin}, there and back"] = back
        beside[f"{twin}, without translation"] = (
            100 * identity_alignment(domains.test, candidates=candidates, limit=pairs).error
        )
        said = f"{error:.1f} % miss their partners; there and back off by {back:.1f} %"
        panels |= {f"{title}\n({said})": shown for title, shown in ways_shown(model, domains.test, _SHOWN).items()}
    first, *others = twins
    beside |= {twin: 100 * found[twin].error for twin in others}
    kind = f"nearest of {candidates:,}, n = {found[first].n:,}"
    measurement = Measurement(100 * found[first].error, 100 * found[first].stderr, kind, None, beside)
    return Drawn(panels_figure(panels), measurement)

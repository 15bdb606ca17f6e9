"""`fit`: train any model on any data."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ancestral.interface import ClosedFormFit, InputError, Model, OptimizerSpec
from ancestral.training.devices import Devices
from ancestral.training.em import fit_closed_form
from ancestral.training.engine import Engine
from ancestral.training.report import Report
from ancestral.training.schedules import Constant, Schedule
from ancestral.training.settings import Settings
from ancestral.training.sources import TrainingData, training_sources


def fit(
    model: Model,
    data: TrainingData,
    *,
    epochs: int | None = None,
    minutes: float | None = None,
    steps: int | None = None,
    batch_size: int = 128,
    seed: int = 0,
    optimizer: OptimizerSpec | Mapping[str, OptimizerSpec] | None = None,
    lr: float | Mapping[str, float] | None = None,
    schedule: Schedule | None = None,
    clip_gradient: float | None = None,
    accumulate: int = 1,
    ema: float | None = None,
    patience: int | None = None,
    run_dir: str | Path | None = None,
    resume: bool = False,
    precision: str = "32-true",
    accelerator: str = "auto",
    devices: int = 1,
    progress: bool = True,
    preview_every: int | None = None,
    log_every: int = 50,
    tensorboard: bool = False,
    max_iterations: int = 100,
    tolerance: float = 1e-6,
    recipe: Mapping[str, Any] | None = None,
) -> Report:
    """Train `model` in place and return what happened; the model ends in evaluation mode.

    The model holds the weights of the epoch with the best `model.monitor` on the validation split, or the last ones
    where there is no validation split or no monitor; `Report.weights` says which. Where a model is made in stages
    (`Phase.starts`, `Phase.ends`), each stage goes on from the last weights of the one before, and only epochs of the
    same stage are compared: the weights that are kept are the last stage's. A monitored loss is that of the first phase
    that runs. The caller's random state is left as it was. Ctrl-C and SIGTERM end the run after the current step.

    Args:
        model: anything with phases, or a `ClosedFormFit`, which is fitted by its own iterations.
        data: `Data` (trains on `train`, validates on `valid`), or a `Split`, a tensor or a torch `Dataset` of
            `Batch`es, tensors or pairs (x, label) to train on without validation.
        epochs: passes over the data; 20 where no budget is set. With several budgets the first to be used up ends
            the run.
        minutes: wall-clock budget, counted over all resumptions of a run.
        steps: budget of batches.
        batch_size: observations in a batch, at most; with several devices, in all of them together.
        seed: of the order of the data and of the noise in training.
        optimizer: `Adam`, `RMSProp`, `SGD` or `SparseSGD` in place of every phase's own, or a mapping from names of
            phases to these. Recipes and the command line spell them by name: `--optimizer adam
            --optimizer.weight_decay 0.1`, or `--optimizer.generator adam` for one phase.
        lr: in place of the learning rate of every phase's optimizer, or a mapping from names of phases to these:
            `--lr.generator 1e-4`.
        schedule: of all learning rates, over the whole budget: `Constant`, `Cosine`, `Linear` or `Step`;
            `--schedule cosine --schedule.warmup_steps 500`.
        clip_gradient: the largest global norm of a phase's gradient.
        accumulate: each batch goes through the model in this many pieces whose gradients add up: less memory, the
            same step.
        ema: decay of a moving average of the weights, such as 0.999, which is then validated and kept.
        patience: end after this many epochs without a better validation (of the last stage).
        run_dir: folder for `checkpoint.pt`, `metrics.csv` and previews; must be empty unless `resume`.
        resume: go on with the run in `run_dir`, to the very weights of a run that was never interrupted.
        precision: "32-true" (the model's own dtype) or "bf16-mixed".
        accelerator: "auto", "cpu", "gpu", "cuda" or "mps".
        devices: processes, one a device; above 1 they train in parallel on shares of each batch. The weights are then
            those of one process, up to rounding, where training draws no noise; a VAE's, a GAN's, or those with dropout
            or dequantization differ by design: each process draws its own noise.
        progress: show progress on stderr.
        preview_every: write a picture of samples, or of translations and back, every so many epochs.
        log_every: steps between two rows of training losses in `metrics.csv`.
        tensorboard: write TensorBoard event files to `run_dir`, too.
        max_iterations: of a closed-form fit; `epochs` and `steps` bound it as well.
        tolerance: a closed-form fit ends when its objective changes by less, relative to its size where above 1.
        recipe: kept in the report.

    Raises:
        InputError: before any training, if the data, the model and the settings do not go together.
        TrainingDiverged: if a loss is no longer finite; the model then holds its last good weights.
    """
    settings = Settings(
        epochs=epochs,
        minutes=minutes,
        steps=steps,
        batch_size=batch_size,
        seed=seed,
        optimizer=optimizer,
        lr=lr,
        schedule=schedule or Constant(),
        clip_gradient=clip_gradient,
        accumulate=accumulate,
        ema=ema,
        patience=patience,
        run_dir=None if run_dir is None else Path(run_dir),
        resume=resume,
        precision=precision,
        accelerator=accelerator,
        devices=devices,
        progress=progress,
        preview_every=preview_every,
        log_every=log_every,
        tensorboard=tensorboard,
        max_iterations=max_iterations,
        tolerance=tolerance,
        recipe=recipe,
    )
    train, valid = training_sources(data, model)
    if isinstance(model, ClosedFormFit):
        return fit_closed_form(model, train, settings)
    if patience is not None and (valid is None or model.monitor is None):
        missing = "validation split" if valid is None else "monitor"
        raise InputError(f"patience waits for a better validation, but there is no {missing}; leave it out")
    return Engine(model, train, valid, settings, Devices(settings)).run()

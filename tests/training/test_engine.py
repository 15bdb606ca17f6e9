"""The engine on models whose optimum, moves and weights are known."""

import csv
from dataclasses import replace
from io import StringIO
from pathlib import Path

import pytest
import torch
from matplotlib.figure import Figure
from rich.console import Console
from torch import Tensor
from torch.utils.data import TensorDataset
from training_toys import PLANE, Duel, Gaussian, Noisy, points

from ancestral import plots
from ancestral.data import Column, Data, Schema, Split
from ancestral.interface import SGD, Adam, InputError, Real
from ancestral.training import Constant, Cosine, Step, display, fit


def data(n: int = 64) -> Data:
    parts = {name: Split(points(n, seed), PLANE) for seed, name in enumerate(("train", "valid", "test"))}
    return Data("points", PLANE, **parts)


def weights(model: torch.nn.Module) -> Tensor:
    return torch.cat([value.flatten() for value in model.state_dict().values()])


def test_reaches_the_maximum_likelihood() -> None:
    x = points(200)
    model = Gaussian()
    report = fit(model, x, epochs=300, batch_size=200, lr=0.05, schedule=Cosine(warmup_steps=5), progress=False)
    torch.testing.assert_close(model.mean, x.mean(0), atol=1e-3, rtol=0)
    torch.testing.assert_close(model.log_scale.exp(), x.std(0, correction=0), atol=1e-3, rtol=0)
    assert (report.epochs, report.steps, report.ended_by, report.weights) == (300, 300, "epochs", "last")
    assert report.history[-1]["train/model"] == pytest.approx(-model.log_prob(x).mean().item(), abs=1e-3)
    assert not model.training


def test_equals_a_loop_by_hand() -> None:
    x = points(60)
    model, by_hand = Gaussian(), Gaussian()
    fit(model, x, epochs=3, batch_size=25, progress=False, seed=4)
    optimizer = torch.optim.Adam(by_hand.parameters(), lr=1e-2, fused=True)
    for epoch in range(3):
        generator = torch.Generator().manual_seed(4 * 1_000_003 + epoch)
        for rows in torch.randperm(60, generator=generator).tensor_split(3):
            optimizer.zero_grad()
            (-by_hand._log_prob(x[rows], None).mean()).backward()
            optimizer.step()
    assert torch.equal(weights(model), weights(by_hand))


def test_all_forms_of_data_are_the_same_data() -> None:
    x = points()
    fitted = []
    for form in (x, Split(x, PLANE), TensorDataset(x, torch.zeros(len(x), dtype=torch.int64)), data()):
        fitted.append(Gaussian())
        fit(fitted[-1], form, epochs=2, batch_size=16, patience=9 if isinstance(form, Data) else None, progress=False)
    assert all(torch.equal(weights(model), weights(fitted[0])) for model in fitted)


def test_accumulation_leaves_the_step_as_it_was() -> None:
    whole, pieces = Gaussian(optimizer=SGD(0.1)), Gaussian(optimizer=SGD(0.1))
    fit(whole, points(50), epochs=3, batch_size=25, progress=False)
    fit(pieces, points(50), epochs=3, batch_size=25, accumulate=4, progress=False)
    torch.testing.assert_close(weights(whole), weights(pieces))


def test_clips_the_global_norm() -> None:
    model = Gaussian(optimizer=SGD(1.0))
    fit(model, points(), steps=1, batch_size=64, clip_gradient=0.5, progress=False)
    assert weights(model).norm().item() == pytest.approx(0.5, rel=1e-4)


def test_the_seed_decides_and_the_callers_randomness_is_left_alone() -> None:
    start = Noisy().state_dict()
    results = []
    for seed in (1, 1, 2):
        model = Noisy()
        model.load_state_dict(start)
        torch.manual_seed(seed * 7)
        before = torch.get_rng_state()
        fit(model, data(), epochs=2, batch_size=16, seed=seed, progress=False)
        assert torch.equal(before, torch.get_rng_state())
        results.append(weights(model))
    assert torch.equal(results[0], results[1])
    assert not torch.equal(results[0], results[2])


def test_phases_move_in_turn_with_all_others_frozen() -> None:
    model = Duel()
    report = fit(model, points(), steps=7, batch_size=32, progress=False)
    critics = ["critic"] * 3
    assert model.moves == [*critics, "generator", *critics, "generator", "critic"]
    assert max(parameter.abs().max().item() for parameter in model.critic.parameters()) <= 0.05 + 1e-8
    assert all(parameter.requires_grad and parameter.grad is None for parameter in model.parameters())
    assert (report.monitor, report.weights, report.ended_by) == (None, "last", "steps")
    assert "train/critic" in report.history[0]
    assert "train/generator" in report.history[1]


def test_optimizers_and_rates_by_phase() -> None:
    """Those that are named are exchanged, the others keep their own."""

    def trained(**settings: object) -> Duel:
        model = Duel()
        model.load_state_dict(start)
        fit(model, points(), steps=3, batch_size=32, progress=False, **settings)
        return model

    start = Duel().state_dict()
    own, unmoved = trained(), Duel()
    unmoved.load_state_dict(start)
    unmoved._clip()
    both = trained(optimizer={"critic": SGD(0.1), "generator": Adam()})  # what each phase has by itself
    assert torch.equal(weights(both), weights(own))
    for still in ({"optimizer": {"critic": SGD(1e-12)}}, {"lr": {"critic": 1e-12}}):
        model = trained(**still)
        torch.testing.assert_close(weights(model.critic), weights(unmoved.critic))
        assert not torch.allclose(weights(model.generator), weights(unmoved.generator))
    with pytest.raises(InputError, match="names the phase 'critics' .did you mean 'critic'.*phases of Duel are critic"):
        trained(optimizer={"critics": SGD(0.1)})
    with pytest.raises(InputError, match="lr names the phase 'x'"):
        trained(lr={"x": 0.1})
    with pytest.raises(InputError, match="lr must be a finite number above 0, got -1"):
        trained(lr={"critic": -1.0})


def test_what_the_caller_froze_stays_frozen() -> None:
    model = Gaussian()
    model.log_scale.requires_grad = False
    fit(model, points(), epochs=1, progress=False)
    assert model.log_scale.abs().sum() == 0
    assert model.mean.abs().sum() > 0
    assert not model.log_scale.requires_grad


def test_keeps_the_best_epoch_and_loses_patience() -> None:
    # Trained far from where it is validated: the first epoch is the best one.
    away = replace(data(), valid=Split(torch.zeros(32, 2), PLANE))
    model = Gaussian()
    report = fit(model, away, epochs=50, batch_size=16, lr=0.1, patience=3, progress=False)
    assert (report.epochs, report.ended_by, report.weights) == (4, "patience", "best")
    assert report.best is not None
    assert report.best["epoch"] == 1
    assert model.log_prob(away.valid.x).mean().item() == pytest.approx(report.best["valid/log_prob"])
    assert report.curve("valid/log_prob")[0] == (1, report.best["valid/log_prob"])


def test_patience_may_come_with_a_resumption(tmp_path: Path) -> None:
    away = replace(data(), valid=Split(torch.zeros(32, 2), PLANE))
    settings = {"batch_size": 16, "lr": 0.1, "run_dir": tmp_path, "progress": False}
    fit(Gaussian(), away, epochs=6, **settings)
    report = fit(Gaussian(), away, epochs=50, patience=3, resume=True, **settings)
    assert (report.epochs, report.ended_by) == (6, "patience")


def test_a_loss_is_monitored_in_evaluation_mode() -> None:
    model = Noisy()
    report = fit(model, data(), epochs=3, batch_size=16, progress=False)
    assert report.best is not None
    model.watch = lambda call: pytest.fail("the loss was not in evaluation mode")
    values = [value for _, value in report.curve("valid/loss")]
    assert report.best["valid/loss"] == min(values)


def test_the_moving_average_is_what_is_kept() -> None:
    x = points(32)
    model = Gaussian()
    average = weights(model)
    report = fit(model, x, epochs=5, batch_size=32, ema=0.9, progress=False)
    for step in range(1, 6):
        stepped = Gaussian()
        fit(stepped, x, epochs=step, batch_size=32, progress=False)
        decay = min(0.9, (1 + step) / (10 + step))
        average = decay * average + (1 - decay) * weights(stepped)
    assert report.weights == "ema"
    torch.testing.assert_close(weights(model), average)


def test_schedules() -> None:
    cosine = Cosine(warmup_steps=4, final=0.1)
    assert [cosine.factor_at(step, 0, 0.0) for step in (0, 1, 3, 9)] == [0.25, 0.5, 1.0, 1.0]
    assert cosine.factor_at(99, 0, 0.5) == pytest.approx(0.55)
    assert cosine.factor_at(99, 0, 1.0) == pytest.approx(0.1)
    assert [Step(2, 0.5).factor_at(0, epoch, 0.0) for epoch in range(5)] == [1, 1, 0.5, 0.5, 0.25]
    assert Constant().factor_at(7, 7, 0.7) == 1


def test_the_schedule_stretches_over_the_budget_that_runs_out_first() -> None:
    model = Gaussian(optimizer=SGD(0.01))
    seen = []
    model.watch = lambda: seen.append(model.mean.detach().clone())
    fit(model, points(), epochs=100, steps=10, batch_size=64, schedule=Step(5, 0.1), progress=False)
    moves = torch.stack(seen).diff(dim=0).norm(dim=1)
    assert moves[5] < 0.2 * moves[4]  # epoch 5: a tenth of the rate
    cosine = Gaussian()
    fit(cosine, points(), epochs=100, steps=10, batch_size=64, schedule=Cosine(), progress=False)
    until_ten = Gaussian()
    fit(until_ten, points(), epochs=10, batch_size=64, schedule=Cosine(), progress=False)
    assert torch.equal(weights(cosine), weights(until_ten))


def test_minutes_end_a_run_within_an_epoch() -> None:
    report = fit(Gaussian(), data(), minutes=0.3 / 60, batch_size=1, log_every=1000, progress=False)
    assert report.ended_by == "minutes"
    assert 0.3 <= report.seconds < 3
    assert "valid/log_prob" in report.history[-1]


def test_bfloat16_trains_and_scores_in_full_precision() -> None:
    report = fit(Noisy(), data(), epochs=20, lr=1e-2, batch_size=16, precision="bf16-mixed", progress=False)
    assert report.history[-1]["valid/loss"] < report.history[0]["valid/loss"]


def test_writes_metrics_previews_and_event_files(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    fit(
        Gaussian(), data(), epochs=4, batch_size=16, run_dir=folder, preview_every=2, log_every=3, tensorboard=True,
        progress=False,
    )  # fmt: skip
    assert {path.name for path in folder.iterdir()} == {
        "checkpoint.pt", "metrics.csv", "samples-epoch-00002.png", "samples-epoch-00004.png", "tensorboard",
    }  # fmt: skip
    assert list((folder / "tensorboard").iterdir())
    with (folder / "metrics.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert [int(row["step"]) for row in rows if row["name"] == "loss/model"] == [3, 6, 9, 12, 15]
    assert [int(row["epoch"]) for row in rows if row["name"] == "valid/log_prob"] == [1, 2, 3, 4]


def test_a_preview_of_a_table_stands_beside_real_rows_under_its_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[dict[str, object]] = []
    monkeypatch.setattr(plots, "samples_figure", lambda x, event, **how: drawn.append(how) or Figure())
    schema = Schema((Column("across", Real()), Column("up", Real())))
    for rows in (data(), replace(data(), schema=schema)):
        folder = tmp_path / str(len(drawn))
        fit(Gaussian(), rows, epochs=1, run_dir=folder, preview_every=1, progress=False)
    assert all(torch.equal(how["real"], points(64, 0)) for how in drawn)
    assert [how.get("names") for how in drawn] == [None, ["across", "up"]]


def test_shows_a_bar_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = StringIO()
    monkeypatch.setattr(display, "Console", lambda stderr: Console(file=shown, force_terminal=True, width=160))
    monkeypatch.setattr(display, "_REDRAW_SECONDS", 0.0)
    fit(Gaussian(), data(), epochs=2, batch_size=8, log_every=2)
    for part in ("epoch 2/2", "log_prob -", "nats", "bits/dim", "model ", "steps/s", "100%"):
        assert part in shown.getvalue()


def test_a_validation_that_is_no_number_is_never_the_best() -> None:
    model = Gaussian()
    values = iter([float("nan"), -3.0, float("-inf")])
    model.log_prob = lambda x, context: torch.full((len(x),), next(values))
    report = fit(model, data(), epochs=3, batch_size=64, progress=False)
    assert report.best is not None
    assert (report.best["epoch"], report.best["valid/log_prob"]) == (2, -3.0)


def test_shows_a_line_where_there_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    fit(Gaussian(), data(), epochs=1, optimizer=Adam(1e-3))
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "epoch 1/1" in shown.err
    assert "nats" in shown.err
    assert "bits/dim" in shown.err

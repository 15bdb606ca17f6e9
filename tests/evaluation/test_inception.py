"""InceptionV3 by its published counts and shapes, and weights that fit, or say why not."""

from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import Tensor, nn

from ancestral.data import Data, Split
from ancestral.evaluation import feature_extractor
from ancestral.evaluation.inception import InceptionV3, inception_input, load_inception
from ancestral.interface import Binary, Categories, Event, InputError, Levels, Real


@pytest.fixture(scope="module")
def network() -> InceptionV3:
    """Random weights, and statistics of batch norm that are not those of its start."""
    torch.manual_seed(0)
    found = InceptionV3().eval()
    for module in found.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_var, 0.5, 1.5)
            nn.init.normal_(module.running_mean, std=0.1)
            nn.init.normal_(module.bias, std=0.1)
    return found


def test_counts_and_shapes_are_the_published_ones(network: InceptionV3) -> None:
    # 23,834,568 with torchvision's classifier of 1,000 classes (27,161,264 with the auxiliary one).
    assert sum(parameter.numel() for parameter in network.parameters()) == 23_834_568 - 1000 * 2049
    assert sum(isinstance(module, nn.Conv2d) for module in network.modules()) == 94
    shapes: dict[str, tuple[int, ...]] = {}
    handles = [
        module.register_forward_hook(lambda _, __, out, name=name: shapes.update({name: tuple(out.shape[1:])}))
        for name, module in network.named_children()
    ]
    with torch.no_grad():
        assert network(torch.zeros(1, 3, 299, 299)).shape == (1, 2048)
    for handle in handles:
        handle.remove()
    expected = {
        "Conv2d_1a_3x3": (32, 149, 149),
        "Conv2d_2a_3x3": (32, 147, 147),
        "Conv2d_2b_3x3": (64, 147, 147),
        "Conv2d_3b_1x1": (80, 73, 73),
        "Conv2d_4a_3x3": (192, 71, 71),
        "Mixed_5b": (256, 35, 35),
        "Mixed_5d": (288, 35, 35),
        "Mixed_6a": (768, 17, 17),
        "Mixed_6e": (768, 17, 17),
        "Mixed_7a": (1280, 8, 8),
        "Mixed_7b": (2048, 8, 8),
        "Mixed_7c": (2048, 8, 8),
    }
    assert {name: shapes[name] for name in expected} == expected


def test_published_names_are_there(network: InceptionV3) -> None:
    names = set(network.state_dict())
    for name in (
        "Conv2d_1a_3x3.conv.weight",
        "Conv2d_4a_3x3.bn.running_var",
        "Mixed_5b.branch5x5_2.conv.weight",
        "Mixed_6a.branch3x3dbl_3.bn.weight",
        "Mixed_6e.branch7x7dbl_5.conv.weight",
        "Mixed_7a.branch7x7x3_4.bn.bias",
        "Mixed_7c.branch3x3dbl_3b.conv.weight",
        "Mixed_7c.branch_pool.bn.running_mean",
    ):
        assert name in names
    assert network.Mixed_6b.branch7x7dbl_2.conv.kernel_size == (7, 1)
    assert network.Mixed_6b.branch7x7_2.conv.kernel_size == (1, 7)
    assert network.Conv2d_1a_3x3.bn.eps == 1e-3


def test_the_means_of_a_pool_leave_the_padding_out_and_the_last_block_takes_maxima(network: InceptionV3) -> None:
    ones = torch.ones(1, 1, 4, 4)
    torch.testing.assert_close(network.Mixed_7b.pool(ones), ones)
    spike = torch.zeros(1, 1, 5, 5)
    spike[..., 2, 2] = 1
    assert network.Mixed_7c.pool(spike).sum() == 9
    assert network.Mixed_7b.pool(spike).sum() == pytest.approx(1)


def test_images_are_interpolated_to_299_pixels_on_minus_one_to_one() -> None:
    grey = torch.tensor([0.0, 1.0]).view(1, 1, 1, 2)
    found = inception_input(grey)
    assert found.shape == (1, 3, 299, 299)
    assert (float(found.min()), float(found.max())) == (-1, 1)
    assert torch.equal(found[:, 0], found[:, 2])
    # Pixel centres, not corners, are aligned: the first quarter is all black.
    assert bool((found[..., :74] == -1).all())
    assert float(found[0, 0, 0, 149]) == pytest.approx(0, abs=1e-5)


@pytest.mark.parametrize("suffix", [".safetensors", ".npz"])
def test_weights_go_around_by_a_file(network: InceptionV3, tmp_path: Path, suffix: str) -> None:
    """As published: with a classifier and counts of batches, which the features do without."""
    path, state = tmp_path / f"weights{suffix}", dict(network.state_dict())
    state |= {"fc.weight": torch.zeros(1008, 2048), "fc.bias": torch.zeros(1008), "AuxLogits.fc.bias": torch.zeros(3)}
    if suffix == ".npz":
        np.savez(path, **{name: value.numpy() for name, value in state.items()})
    else:
        safetensors.torch.save_file(state, path)
    event = Event((1, 4, 4), Levels(5))
    x = torch.randint(5, (3, 1, 4, 4))
    extractor = feature_extractor(f"inception:{path}", Split(x, event))
    with torch.no_grad():
        expected = network(inception_input(x / 4)).double()
    torch.testing.assert_close(extractor(x), expected)
    assert extractor.digest is not None
    assert f"the weights weights{suffix}, sha256 {extractor.digest[:8]}" in str(extractor)


def save(path: Path, state: dict[str, Tensor]) -> Path:
    safetensors.torch.save_file(state, path)
    return path


def test_weights_that_do_not_fit_are_listed(network: InceptionV3, tmp_path: Path) -> None:
    state = {name: value for name, value in network.state_dict().items() if not name.startswith("Mixed_7c.branch_pool")}
    state["Mixed_7d.conv"] = torch.zeros(1)
    state["Conv2d_1a_3x3.conv.weight"] = torch.zeros(32, 1, 3, 3)
    with pytest.raises(InputError) as raised:
        load_inception(save(tmp_path / "w.safetensors", state))
    for words in (
        "5 missing (Mixed_7c.branch_pool.conv.weight, ",
        "1 unexpected (Mixed_7d.conv)",
        "1 of another shape (Conv2d_1a_3x3.conv.weight (32, 1, 3, 3), not (32, 3, 3, 3))",
    ):
        assert words in str(raised.value)
    broken = dict(network.state_dict())
    broken["Conv2d_1a_3x3.bn.bias"] = torch.full((32,), torch.nan)
    with pytest.raises(InputError, match=r"not finite: Conv2d_1a_3x3.bn.bias"):
        load_inception(save(tmp_path / "nan.safetensors", broken))


def test_nothing_is_unpickled_and_a_file_that_is_none_says_so(tmp_path: Path) -> None:
    pickled = tmp_path / "w.pth"
    torch.save({}, pickled)
    with pytest.raises(InputError, match=r"read from .safetensors or .npz, got .*w.pth"):
        load_inception(pickled)
    with pytest.raises(InputError, match="there is no file"):
        load_inception(tmp_path / "w.npz")
    for name in ("bad.npz", "bad.safetensors"):
        (tmp_path / name).write_bytes(b"no weights at all")
        with pytest.raises(InputError, match="cannot be read as weights"):
            load_inception(tmp_path / name)
    np.savez(tmp_path / "objects.npz", a=np.array([{}], dtype=object))
    with pytest.raises(InputError, match="cannot be read as weights"):
        load_inception(tmp_path / "objects.npz")


@pytest.mark.parametrize(
    ("event", "x", "words"),
    [
        (Event((3,), Real()), torch.rand(4, 3), "sees images, grey or of three colours"),
        (Event((2, 4, 4), Binary()), torch.ones(4, 2, 4, 4), "sees images, grey or of three colours"),
        (Event((1, 4, 4), Categories(3)), torch.ones(4, 1, 4, 4), "sees images, grey or of three colours"),
        (
            Event((1, 4, 4), Real()),
            3 * torch.ones(4, 1, 4, 4),
            "real pixels between 0 and 1, .* has 3 to 3; scale them",
        ),
    ],
)
def test_what_inception_cannot_see_is_refused(event: Event, x: Tensor, words: str) -> None:
    split = Split(x, event)
    with pytest.raises(InputError, match=words):
        feature_extractor("inception:w.npz", Data("some", event, split, split, split))

"""Every row of the README's table "Coming from PyTorch" is a difference, and its remedy works."""

import re
import warnings
from pathlib import Path

import numpy as np
import pytest

import tinygrad_np
from tests.oracle.pytorch import torch
from tinygrad_np import Tensor, data, nn, optim, train, transforms, viz
from tinygrad_np.errors import (
    ArgumentError,
    GraphError,
    MissingGradientWarning,
    ShapeError,
    TinygradNpError,
)
from tinygrad_np.nn import functional

pytestmark = pytest.mark.slow

README = (Path(tinygrad_np.__file__).parents[1] / "README.md").read_text(encoding="utf-8")
SECTION = README[README.index("## Coming from PyTorch") : README.index("## Limits")]
ROWS = re.findall(r"^\| (.*?) \| .* \|$", SECTION.split("The main differences:")[1], re.M)[2:]

CHECKS = {}


def row(left):
    """Return a decorator that registers the check of the row with this left cell."""
    return lambda check: CHECKS.setdefault(left, check)


def test_every_row_has_a_check():
    assert list(CHECKS) == ROWS


@pytest.mark.parametrize("left", CHECKS)
def test_row(left, tmp_path):
    check = CHECKS[left]
    check(tmp_path) if check.__code__.co_argcount else check()


def both(values, **options):
    """Return the same tensor in PyTorch and here."""
    return torch.tensor(values, **options), tinygrad_np.tensor(values, **options)


@row("`values, indices = x.max(1)`, `x.max(1)[0]`")
def _():
    theirs, ours = both([[1.0, 5.0], [4.0, 2.0]])
    values, indices = theirs.max(1)
    assert ours.max(1).tolist() == values.tolist() == [5.0, 4.0]
    first, second = ours.max(1)
    assert (first.item(), second.item(), ours.max(1)[0].item()) == (5.0, 4.0, 5.0)
    pair = tinygrad_np.max(ours, 1)
    assert [pair.values.tolist(), pair.indices.tolist()] == [values.tolist(), indices.tolist()]


@row("`torch.Tensor([1, 2])` is float32")
def _():
    assert torch.Tensor([1, 2]).dtype == torch.float32
    assert Tensor([1, 2]).dtype == tinygrad_np.tensor([1, 2]).dtype == np.int64


@row("`x.where(condition, y)`")
def _():
    theirs, ours = both([1.0, -2.0])
    expected = theirs.where(theirs > 0, torch.zeros(2)).tolist()
    with pytest.raises(ArgumentError, match=r"mask\.where\(x, y\)"):
        ours.where(ours > 0, 0)
    assert (ours > 0).where(ours, 0).tolist() == expected
    assert tinygrad_np.where(ours > 0, ours, 0).tolist() == expected


@row("`x.data` is a tensor")
def _():
    theirs, ours = both([1.0], requires_grad=True)
    assert torch.is_tensor(theirs.data)
    assert type(ours.data) is np.ndarray
    assert np.may_share_memory(ours.detach().data, ours.data)
    with tinygrad_np.no_grad():
        ours.zero_()
    assert ours.tolist() == [0.0]


@row("`float(loss)`, `np.asarray(x)`")
def _():
    theirs, ours = both(1.5, requires_grad=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch discourages this, too
        assert float(theirs) == ours.item() == np.asarray(ours.detach()) == 1.5
    for convert in (float, np.asarray):
        with pytest.raises(GraphError):
            convert(ours)


@row("`x.numpy()` can be written to")
def _():
    theirs, ours = both([1.0])
    theirs.numpy()[0] = 2.0
    assert theirs.item() == 2.0
    with pytest.raises(ValueError, match="read-only"):
        ours.numpy()[0] = 2.0
    ours.data[0] = 2.0
    assert ours.item() == 2.0


@row("`model.state_dict()` shares its tensors")
def _():
    theirs, ours = torch.nn.Linear(1, 1), nn.Linear(1, 1)
    theirs.state_dict()["bias"].fill_(7.0)
    ours.state_dict()["bias"][...] = 7.0
    assert theirs.bias.item() == 7.0 != ours.bias.item()


@row("`nn.Parameter(x)` detaches x")
def _():
    theirs, ours = both([1.0, 2.0], requires_grad=True)
    assert torch.nn.Parameter(theirs * 2).is_leaf
    with pytest.raises(GraphError, match=r"\.detach\(\)"):
        nn.Parameter(ours * 2)
    assert nn.Parameter((ours * 2).detach()).tolist() == [2.0, 4.0]


@row("a tensor assigned to a module is not saved")
def _():
    theirs, ours = torch.nn.Linear(1, 1), nn.Linear(1, 1)
    theirs.scale, ours.scale = both([2.0])
    assert "scale" not in theirs.state_dict()
    assert "scale" in ours.state_dict()
    ours.register_buffer("shift", Tensor([2.0]), persistent=False)
    assert "shift" not in ours.state_dict()


@row("`torch.save(model.state_dict(), path)`")
def _(folder):
    model = nn.Linear(2, 1)
    train.save(folder / "w.safetensors", model.state_dict())
    nn.Linear(2, 1).load_state_dict(train.load(folder / "w.safetensors"))
    assert not hasattr(tinygrad_np, "save")


@row("`torch.Generator().manual_seed(0)`")
def _():
    torch.rand(2, generator=torch.Generator().manual_seed(0))
    assert not hasattr(tinygrad_np, "Generator")
    tinygrad_np.rand(2, generator=np.random.default_rng(0))


@row("`F.mse_loss(x, y)` broadcasts (N, 1) against (N,)")
def _():
    (theirs, ours), (their_target, target) = both([[1.0], [2.0]]), both([1.0, 2.0])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert torch.nn.functional.mse_loss(theirs, their_target).item() == 0.5
    for loss in (functional.mse_loss, functional.l1_loss, functional.smooth_l1_loss):
        with pytest.raises(ShapeError, match=r"\(2, 1\).*\(2,\)"):
            loss(ours, target)


@row("`F.softmax(x)` chooses an axis")
def _():
    theirs, ours = both([[1.0, 2.0]])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.nn.functional.softmax(theirs)
    for choose in (lambda: functional.softmax(ours), nn.Softmax):
        with pytest.raises(TinygradNpError, match="dim=-1"):
            choose()


@row("optimizers skip parameters without a gradient")
def _():
    used, unused = nn.Parameter([1.0], name="used"), nn.Parameter([1.0], name="unused")
    optimizer = optim.SGD([used, unused], lr=1.0)
    with pytest.raises(GraphError, match="gradient"):
        optimizer.step()
    used.sum().backward()
    with pytest.warns(MissingGradientWarning, match="'unused'"):
        optimizer.step()
    optimizer.step()  # warns once
    assert (used.item(), unused.item()) == (-1.0, 1.0)


@row("`DataLoader(dataset)` has batches of 1")
def _():
    theirs = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(torch.zeros(3)))
    ours = data.DataLoader(data.TensorDataset(tinygrad_np.zeros(3)), num_workers=2)
    assert (theirs.batch_size, ours.batch_size) == (1, 64)
    one, other = (
        data.DataLoader(ours.dataset, shuffle=True, seed=0).state_dict() for _ in range(2)
    )
    assert one == other


@row("a view follows in-place changes of its base")
def _():
    theirs, ours = (x * 1 for x in both([1.0, 2.0], requires_grad=True))
    their_view, view = theirs[0], ours[0]
    theirs += 1
    ours += 1
    assert (their_view * 3).item() == 6.0
    with pytest.raises(GraphError):
        view * 3
    assert (ours[0] * 3).item() == 6.0


@row("`torch.autograd.grad(y, x)` frees the graph")
def _():
    theirs, ours = both(2.0, requires_grad=True)
    y = theirs * theirs
    torch.autograd.grad(y, theirs)
    with pytest.raises(RuntimeError, match="freed"):
        torch.autograd.grad(y, theirs)
    y = ours * ours
    for _ in range(2):
        assert tinygrad_np.autograd.grad(y, ours)[0].item() == 4.0


@row("`y.grad_fn`")
def _():
    theirs, ours = both([1.0, 2.0], requires_grad=True)
    assert "grad_fn" in repr(theirs * 2)
    assert not hasattr(ours * 2, "grad_fn")
    assert "op=mul" in repr(ours * 2)
    assert "mul" in str(viz.draw(ours * 2))


@row("`scheduler.last_epoch`")
def _():
    theirs, ours = both([1.0, 2.0], requires_grad=True)
    their_schedule = torch.optim.lr_scheduler.StepLR(torch.optim.SGD([theirs]), 2)
    schedule = optim.lr_scheduler.StepLR(optim.SGD([ours]), 2)
    assert schedule.steps == their_schedule.last_epoch == 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # no optimizer step in between
        their_schedule.step()
        schedule.step()
    assert schedule.steps == their_schedule.last_epoch == 1
    assert not hasattr(schedule, "last_epoch")


@row("`torch.func.jvp(f, (x,), (v,))`, `torch.func.vjp(f, x)`")
def _():
    theirs, ours = both([1.0, 2.0])
    their_value, their_slope = torch.func.jvp(torch.sin, (theirs,), (theirs,))
    value, slope = transforms.jvp(tinygrad_np.sin)(ours, ours)
    np.testing.assert_allclose(value.numpy(), their_value.numpy(), rtol=1e-6)
    np.testing.assert_allclose(slope.numpy(), their_slope.numpy(), rtol=1e-6)
    _, pull = transforms.vjp(tinygrad_np.sin)(ours)
    np.testing.assert_allclose(pull(ours).numpy(), their_slope.numpy(), rtol=1e-6)


@row('`x.to("cuda")`')
def _():
    assert Tensor([1.0]).to("cpu").item() == 1.0
    with pytest.raises(ArgumentError, match="All tensors are on the CPU"):
        Tensor([1.0]).to("cuda")


@row(
    "`torch.distributions`, `torch.compile`, `torch.vmap`, `torch.autocast`, transformer "
    "decoders, `nn.utils.rnn`, `nn.EmbeddingBag`, sparse and complex tensors"
)
def _():
    for name in ("distributions", "compile", "vmap", "autocast", "sparse_coo_tensor", "complex64"):
        assert hasattr(torch, name)
        assert not hasattr(tinygrad_np, name)
    for name in ("TransformerDecoder", "EmbeddingBag"):
        assert hasattr(torch.nn, name)
        assert not hasattr(nn, name)
    assert hasattr(torch.nn.utils, "rnn")
    assert not hasattr(nn.utils, "rnn")

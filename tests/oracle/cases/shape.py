"""Shape ops here and in PyTorch."""

from tests.oracle.cases.tools import method, normal, same
from tests.oracle.pytorch import F, torch


def two(function, reference, *shapes):
    """Return an expression that is written differently on the two sides."""
    return lambda generator: (function, reference, [normal(generator, *s) for s in shapes])


def padded(mode):
    """Return padding of the last two axes in some mode, also by negative numbers."""

    def make(generator):
        widths = tuple(int(n) for n in generator.integers(-1, 3, 4))
        return (
            lambda x: x.pad(widths, mode=mode),
            lambda x: F.pad(x, widths, mode=mode),
            [normal(generator, 2, 2, 4, 5)],
        )

    return make


CASES = {
    "shapes": same(lambda x: x.reshape(4, 3).permute(1, 0)[1:, ::2] * x.T[:1, :2], (3, 4)),
    "flatten": same(lambda x: x.flatten(1, 2).unflatten(1, (4, -1)) * 2, (2, 3, 4)),
    "squeeze": same(lambda x: x.squeeze().unsqueeze(1) + x.squeeze(0).squeeze(-1), (1, 3, 1)),
    "expand": same(lambda x: x.expand(4, -1, 3) * x, (2, 1)),
    "cat": two(
        lambda a, b: a.cat(b, a, dim=1), lambda a, b: torch.cat((a, b, a), 1), (2, 3), (2, 1)
    ),
    "cat with an empty tensor": two(
        lambda a, b: a.cat(b), lambda a, b: torch.cat((a, b)), (0, 3), (2, 3)
    ),
    "stack": two(lambda a, b: a.stack(b, dim=-1), lambda a, b: torch.stack((a, b), -1), (2,), (2,)),
    "split": same(lambda x: x.split(2)[0] * x.split([1, 4])[1][2:], (5, 3)),
    "chunk": same(lambda x: x.chunk(2, 1)[1] * x.chunk(4, 1)[0].sum(), (3, 7)),
    "repeat": same(lambda x: x.repeat(3, 2, 1) * 2, (2, 3)),
    "repeat of 0-d": same(lambda x: x.repeat(3), ()),
    "repeat_interleave": same(
        lambda x: x.repeat_interleave(3, 1) + x.repeat_interleave(2, 0).sum(), (2, 3)
    ),
    "flip": two(lambda x: x.flip(0, -1) * x, lambda x: x.flip((0, -1)) * x, (2, 3, 4)),
    "roll": same(lambda x: x.roll((1, -2), (0, 1)) * x.roll(5), (3, 4)),
    "pad": padded("constant"),
    "reflect padding": padded("reflect"),
    "replicate padding": padded("replicate"),
    "circular padding": padded("circular"),
    "constant padding": two(
        lambda x: x.pad((1, 2), value=3.0), lambda x: F.pad(x, (1, 2), value=3.0), (2, 3)
    ),
    "padding pairs per axis": two(
        lambda x: x.pad(((1, 0), None)), lambda x: F.pad(x, (0, 0, 1, 0)), (2, 3)
    ),
    "shrink": two(lambda x: x.shrink(((1, 3), None)), lambda x: x[1:3], (4, 2)),
    "unfold": same(lambda x: x.unfold(1, 3, 2) * 2, (2, 7, 3)),
    "meshgrid": two(
        lambda a, b: a.meshgrid(b)[0] * b.meshgrid(a, indexing="xy")[0],
        lambda a, b: (
            torch.meshgrid(a, b, indexing="ij")[0] * torch.meshgrid(b, a, indexing="xy")[0]
        ),
        (3,),
        (4,),
    ),
    "movedim": same(lambda x: x.movedim(0, -1) * x.movedim((2, -4), (-4, 1)).sum(), (2, 3, 4, 2)),
    "swapaxes": same(lambda x: x.swapaxes(0, -1) * 2 + x.mT.swapaxes(1, 2).sum(), (2, 3, 4)),
    "t": same(lambda x: x.t()[1:] * x[0].t().sum(), (3, 4)),
    "broadcast_to": same(lambda x: x.broadcast_to((4, 2, 3)) * 2, (2, 1)),
    "expand_as": same(lambda x, y: x.expand_as(y) * y, (2, 1), (4, 2, 3)),
    "view_as": same(lambda x, y: x.view_as(y) * y, (2, 3), (3, 2)),
    "tile": same(lambda x: x.tile(2) * 3 + x.tile((2, 1, 2)).sum(), (2, 3)),
    "unbind": same(lambda x: x.unbind()[1][0] * x.unbind(1)[2] + x.unbind(-1)[0].sum(), (2, 3, 4)),
    "diff": same(lambda x: x.diff() * x.diff(n=2, dim=0).sum() + x.diff(n=0).sum(), (4, 5)),
    "diff of bools": same(
        lambda x: x.diff(), (6,), draw=lambda generator, *shape: generator.random(shape) < 0.5
    ),
    "five axes": same(lambda x: x.transpose(0, 4).sum(1).permute(3, 0, 2, 1) * 2, (2, 1, 3, 1, 2)),
    "view": method("view", -1, shape=(2, 3)),
}

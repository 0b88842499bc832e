"""Activations, as written here and in PyTorch."""

from tests.oracle.cases.tools import F, few, method


def halves(generator, *shape):
    """Return multiples of a half, so that kinks at whole numbers are met."""
    return few(generator, *shape) * 1.5


def both(name, theirs, *args):
    """The same activation at normal numbers and at kinks."""
    return {
        name: method(name, *args, theirs=theirs),
        f"{name} at kinks": method(name, *args, theirs=theirs, draw=halves),
    }


CASES = {
    **both("relu6", F.relu6),
    **both("hardtanh", lambda x: F.hardtanh(x, -1.5, 3.0), -1.5, 3.0),
    **both("hardswish", F.hardswish),
    **both("leaky_relu", lambda x: F.leaky_relu(x, 0.2), 0.2),
    **both("elu", lambda x: F.elu(x, 1.3), 1.3),
    **both("celu", lambda x: F.celu(x, 2.0), 2.0),
    **both("selu", lambda x: 1.0507 * F.elu(x, 1.67326)),
    **both("gelu", lambda x: F.gelu(x, approximate="tanh")),
    "gelu exact": method("gelu", "none", theirs=F.gelu),
    "silu": method("silu", theirs=F.silu),
    "swish": method("swish", theirs=F.silu),
    "mish": method("mish", theirs=F.mish),
    "softplus": method("softplus", 2.0, theirs=lambda x: F.softplus(x, 2.0, threshold=1000)),
    **both("softsign", F.softsign),
    "logsigmoid": method("logsigmoid", theirs=F.logsigmoid),
    "softmin": method("softmin", 1, theirs=lambda x: F.softmin(x, 1), shape=(3, 4)),
    "erf": method("erf"),
}

"""Constructors of layers compared with PyTorch's: names, order and defaults of the arguments."""

import inspect

import pytest

from tests.oracle.pytorch import torch
from tests.tools import each
from tinygrad_np import nn

pytestmark = pytest.mark.slow

# Ours, at the end: `generator` and `data_format`. PyTorch's: `device`, `dtype`, and what it has
# deprecated in favor of `reduction`.
IGNORED = {"generator", "data_format", "device", "dtype", "size_average", "reduce"}

# Names without a counterpart in PyTorch, or whose PyTorch signature is (*args, **kwargs).
WITHOUT_SIGNATURE = {
    "Activation": "base class of the activations",
    "Module": "both sides take any arguments in subclasses",
    "Parameter": "a Tensor, not a layer",
    "Sequential": "takes any number of modules",
}

# Arguments of PyTorch that are missing here, and why. In the given class, everything else agrees.
MISSING = {
    "AvgPool2d": (["divisor_override"], "rarely used: a factor after the pooling does the same"),
    "BatchNorm1d": (["bias"], "new in PyTorch; `affine` covers weight and bias"),
    "BatchNorm2d": (["bias"], "new in PyTorch; `affine` covers weight and bias"),
    "InstanceNorm2d": (["bias"], "new in PyTorch; `affine` covers weight and bias"),
    "GroupNorm": (["bias"], "new in PyTorch; `affine` covers weight and bias"),
    "ConvTranspose1d": (["padding_mode"], "PyTorch accepts only its default"),
    "ConvTranspose2d": (["padding_mode"], "PyTorch accepts only its default"),
    "Embedding": (
        ["max_norm", "norm_type", "scale_grad_by_freq", "sparse", "_weight", "_freeze"],
        "they change the weight in the forward pass, or need sparse tensors",
    ),
    "Hardtanh": (["min_value", "max_value"], "deprecated in PyTorch"),
    "LSTM": (["proj_size"], "rarely used projection of h"),
    "RNN": (["proj_size"], "for LSTM only"),
    "GRU": (["proj_size"], "for LSTM only"),
    "MultiheadAttention": (["add_bias_kv", "add_zero_attn"], "rarely used additional keys"),
    "Softplus": (["threshold"], "a numerical aid; the result here is accurate without it"),
    "TransformerEncoder": (
        ["enable_nested_tensor", "mask_check"],
        "options of an inference path that does not exist here",
    ),
}

# Arguments here that PyTorch lacks, with the reason.
ADDED = {"SELU": (["alpha", "gamma"], "tinygrad's; after PyTorch's arguments")}

# Defaults that differ: (ours, PyTorch's), with the reason.
DEFAULTS = {
    ("TransformerEncoderLayer", "activation"): (
        "relu",
        torch.nn.functional.relu,
        "the same function by name",
    ),
    ("ModuleList", "modules"): ((), None, "no modules in both"),
    ("ParameterList", "values"): ((), None, "no parameters in both"),
}

# Arguments with another name, always passed by position.
RENAMED = {("ModuleList", "layers"): "modules"}

CLASSES = sorted(
    name
    for name in nn.__all__
    if inspect.isclass(getattr(nn, name)) and name not in WITHOUT_SIGNATURE
)


def arguments_of(cls):
    """Return the names and defaults of the arguments, without *args and **kwargs."""
    if issubclass(cls, torch.nn.RNNBase) and cls is not torch.nn.RNNBase:
        arguments = arguments_of(torch.nn.RNNBase)
        del arguments["mode"]
        if cls is torch.nn.RNN:  # documented between num_layers and bias, read from *args
            items = list(arguments.items())
            arguments = dict([*items[:3], ("nonlinearity", "tanh"), *items[3:]])
        return arguments
    parameters = inspect.signature(cls).parameters.values()
    variadic = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return {p.name: p.default for p in parameters if p.kind not in variadic}


@each("name", CLASSES)
def test_arguments_have_the_names_order_and_defaults_of_pytorch(name):
    ours, theirs = (
        {key: default for key, default in arguments_of(cls).items() if key not in IGNORED}
        for cls in (getattr(nn, name), getattr(torch.nn, name))
    )
    for (cls, own), other in RENAMED.items():
        if cls == name:
            ours = {other if key == own else key: default for key, default in ours.items()}
    added = ADDED.get(name, ([], ""))[0]
    missing = MISSING.get(name, ([], ""))[0]
    assert [key for key in ours if key not in added] == [
        key for key in theirs if key not in missing
    ]
    assert set(added) <= set(ours)
    assert set(missing) <= set(theirs)
    for key in ours.keys() & theirs.keys():
        own, other, _ = DEFAULTS.get((name, key), (ours[key], ours[key], ""))
        assert (ours[key], theirs[key]) == (own, other), key


def test_exceptions_name_classes_of_both_sides():
    names = {*WITHOUT_SIGNATURE, *MISSING, *ADDED, *(cls for cls, _ in [*DEFAULTS, *RENAMED])}
    assert names <= set(nn.__all__)
    assert len(CLASSES) > 50

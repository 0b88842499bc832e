"""All ops, each defined in the module of its family; `table` maps names to primitive ops.

Ops accept Tensors and arrays, so that VJPs can be written with ops.
"""

# ruff: noqa: I001
# fmt: off
from tinygrad_np.autograd import primitives as _primitives
from tinygrad_np.autograd.dispatch import Primitive as _Primitive
from tinygrad_np.autograd.primitives import cast, expand, sum_to
from tinygrad_np.ops import (
    activations, assignment, attention, contractions, conv, elementwise, factorizations, functions,
    indexing, linalg, losses, norms, order, pool, recurrent, reduce, resize, scan, scattering,
    shape,
)
from tinygrad_np.ops.activations import (
    celu, dropout, dropout_with_mask, elu, gelu, hardsigmoid, hardswish, hardtanh, leaky_relu,
    log_softmax, logsigmoid, mish, quick_gelu, relu, relu6, selu, sigmoid_gate, silu, softmax,
    softmin, softplus, softsign,
)
from tinygrad_np.ops.assignment import assign, setitem
from tinygrad_np.ops.attention import attend, attention_weights, scaled_dot_product_attention
from tinygrad_np.ops.contractions import contract, einsum
from tinygrad_np.ops.conv import (
    channel_sum, conv2d, conv2d_input_grad, conv2d_weight_grad, conv_transpose2d,
)
from tinygrad_np.ops.elementwise import (
    abs, add, bitwise_and, bitwise_not, bitwise_or, bitwise_xor, ceil, clip, copysign, div, eq,
    floor, floor_div, fmod, ge, gt, isclose, isfinite, isinf, isnan, keep_where, le, lerp,
    logical_and, logical_not, logical_or, logical_xor, lshift, lt, maximum, minimum, mod, mul,
    nan_to_num, ne, neg, round, rshift, sign, sub, trunc, trunc_div, where,
)
from tinygrad_np.ops.factorizations import (
    cholesky, cofactors, det, inv, packed_qr, packed_svd, qr, sign_and_logdet, slogdet, solve,
    svd,
)
from tinygrad_np.ops.functions import (
    acos, acosh, asin, asinh, atan, atan2, atanh, cos, cosh, erf, exp, exp2, expm1, log, log10,
    log1p, log2, logaddexp, pow, power_log, power_slope, reciprocal, rsqrt, sigmoid, sin, sinh,
    sqrt, square, tan, tanh,
)
from tinygrad_np.ops.indexing import (
    add_along_axis, advanced_index, basic_index, gather, getitem, index_add, index_select,
    select, take_along_axis,
)
from tinygrad_np.ops.linalg import (
    absolute_power, addmm, batched_matmul, bmm, diag, diagonal, dot, linear, matmul, mm, norm,
    normalize, outer, put_diagonal, signed_power, trace, tril, triu,
)
from tinygrad_np.ops.losses import (
    binary_crossentropy, binary_crossentropy_entries, binary_crossentropy_logits,
    binary_crossentropy_logits_entries, cosine_similarity, cross_entropy, cross_entropy_rows,
    huber_loss, kl_div, l1_loss, log_odds,
    mse_loss, nll_loss, one_hot, pairwise_distance, smooth_l1_loss,
    sparse_categorical_crossentropy, triplet_margin_loss,
)
from tinygrad_np.ops.norms import (
    batch_norm, batchnorm, channel_moments, group_norm, layer_norm, layernorm, rms_norm,
)
from tinygrad_np.ops.order import argmedian, argsort, median, sort, topk
from tinygrad_np.ops.pool import (
    adaptive_avg_pool2d, avg_pool2d, avg_pool_grad, max_pool, max_pool2d, max_pool_gather,
    max_pool_grad, max_pool_indices, max_unpool2d,
)
from tinygrad_np.ops.rearrange import rearrange
from tinygrad_np.ops.recurrent import gru, lstm, rnn
from tinygrad_np.ops.reduce import (
    all, allclose, any, argmax, argmin, center, logsumexp, max, mean, min, prod, std, std_mean,
    sum, var, var_mean,
)
from tinygrad_np.ops.resize import interpolate, resample
from tinygrad_np.ops.scan import (
    argcummax, argcummin, cummax, cummin, cumprod, cumsum, logcumsumexp, recurrence,
)
from tinygrad_np.ops.scattering import (
    masked_fill, masked_select, nonzero, scatter, scatter_add, scatter_reduce,
)
from tinygrad_np.ops.shape import (
    cat, chunk, diff, expand_as, flatten, flip, meshgrid, movedim, pad, pad_constant, permute,
    repeat, repeat_interleave, reshape, roll, shrink, split, squeeze, stack, tile, transpose,
    unbind, unflatten, unfold, unsqueeze, view_as,
)

__all__ = [
    "abs", "absolute_power", "acos", "acosh", "adaptive_avg_pool2d", "add", "add_along_axis",
    "addmm", "advanced_index", "all", "allclose", "any", "argcummax", "argcummin", "argmax",
    "argmedian", "argmin", "argsort", "asin", "asinh", "assign", "atan", "atan2", "atanh",
    "attend", "attention_weights", "avg_pool2d", "avg_pool_grad", "basic_index", "batch_norm",
    "batched_matmul", "batchnorm", "binary_crossentropy", "binary_crossentropy_entries",
    "binary_crossentropy_logits", "binary_crossentropy_logits_entries", "bitwise_and",
    "bitwise_not", "bitwise_or", "bitwise_xor", "bmm", "cast", "cat", "ceil", "celu", "center",
    "channel_moments", "channel_sum", "cholesky", "chunk", "clip", "cofactors", "contract",
    "conv2d", "conv2d_input_grad", "conv2d_weight_grad", "conv_transpose2d", "copysign", "cos",
    "cosh", "cosine_similarity", "cross_entropy", "cross_entropy_rows", "cummax", "cummin",
    "cumprod", "cumsum", "det", "diag", "diagonal", "diff", "div", "dot", "dropout",
    "dropout_with_mask", "einsum", "elu", "eq", "erf", "exp", "exp2", "expand", "expand_as",
    "expm1", "flatten", "flip", "floor", "floor_div", "fmod", "gather", "ge", "gelu", "getitem",
    "group_norm", "gru", "gt", "hardsigmoid", "hardswish", "hardtanh", "huber_loss", "index_add",
    "index_select", "interpolate", "inv", "isclose", "isfinite", "isinf", "isnan", "keep_where",
    "kl_div", "l1_loss", "layer_norm", "layernorm", "le", "leaky_relu", "lerp", "linear", "log",
    "log1p", "log2", "log10", "log_odds", "log_softmax", "logaddexp", "logcumsumexp", "logical_and",
    "logical_not", "logical_or", "logical_xor", "logsigmoid", "logsumexp", "lshift", "lstm", "lt",
    "masked_fill", "masked_select", "matmul", "max", "max_pool", "max_pool2d", "max_pool_gather",
    "max_pool_grad", "max_pool_indices", "max_unpool2d", "maximum", "mean", "median", "meshgrid",
    "min", "minimum", "mish", "mm", "mod", "movedim", "mse_loss", "mul", "nan_to_num", "ne", "neg",
    "nll_loss", "nonzero", "norm", "normalize", "one_hot", "outer", "packed_qr", "packed_svd",
    "pad", "pad_constant", "pairwise_distance", "permute", "pow", "power_log", "power_slope",
    "prod", "put_diagonal", "qr", "quick_gelu", "rearrange", "reciprocal", "recurrence", "relu",
    "relu6", "repeat", "repeat_interleave", "resample", "reshape", "rms_norm", "rnn", "roll",
    "round", "rshift", "rsqrt", "scaled_dot_product_attention", "scatter", "scatter_add",
    "scatter_reduce", "select", "selu", "setitem", "shrink", "sigmoid", "sigmoid_gate", "sign",
    "sign_and_logdet", "signed_power", "silu", "sin", "sinh", "slogdet", "smooth_l1_loss",
    "softmax", "softmin", "softplus", "softsign", "solve", "sort",
    "sparse_categorical_crossentropy", "split", "sqrt", "square", "squeeze", "stack", "std",
    "std_mean", "sub", "sum", "sum_to", "svd", "table", "take_along_axis", "tan", "tanh", "tile",
    "topk", "trace", "transpose", "tril", "triplet_margin_loss", "triu", "trunc", "trunc_div",
    "unbind", "unflatten", "unfold", "unsqueeze", "var", "var_mean", "view_as", "where",
]

_families = (
    elementwise, functions, activations, reduce, scan, order, shape, indexing, assignment,
    scattering, linalg, contractions, factorizations, conv, pool, resize, attention, losses, norms,
    recurrent,
)

table: dict[str, _Primitive] = {
    found.name: found
    for family in (_primitives, *_families)
    for found in vars(family).values()
    if isinstance(found, _Primitive)
}

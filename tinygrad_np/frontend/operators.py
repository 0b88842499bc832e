"""A table of the methods and operators of tensors that run ops, and how they are made from ops.

Names and signatures follow tinygrad's public Tensor API; numerical results follow PyTorch. Other
names of a method, PyTorch's or NumPy's, are listed next to it.
"""

import inspect
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeVar

import numpy as np

from tinygrad_np import ops
from tinygrad_np.autograd.dispatch import Primitive, apply, run
from tinygrad_np.autograd.inplace import update
from tinygrad_np.autograd.tape import Variable
from tinygrad_np.errors import ArgumentError
from tinygrad_np.synonyms import accept_synonyms, rename
from tinygrad_np.typing import Int, ValuesAndIndices

if TYPE_CHECKING:
    from tinygrad_np.frontend.tensor import Tensor

F = TypeVar("F", bound=Callable[..., Any])
_FLOAT32 = np.dtype(np.float32)
_DIVISIONS: dict[str | None, Callable[..., Any]] = {
    None: ops.div,
    "floor": ops.floor_div,
    "trunc": ops.trunc_div,
}


# Methods made from ops. Each looks up the attributes of its op once instead of per call.


def method(op: Primitive) -> Callable[..., "Tensor"]:
    """Return a Tensor method that calls `op` with the tensor as its first input."""
    bind, defaults = op.bind, op.options
    count = -1 if op.required else len(op.inputs)

    def call(self: Variable, *args: Any, **options: Any) -> Any:
        inputs = (self, *args)
        if options or len(inputs) != count:
            inputs, options = bind(inputs, options)
        else:
            options = defaults
        return apply(op, inputs, options)

    return _document(call, op, _parameters(op))


def unary_method(op: Primitive) -> Callable[["Tensor"], "Tensor"]:
    """Return the Tensor method for an op with one input and no options.

    A float Variable takes a fast path, without dtype promotion or a loop over the inputs.
    """
    options = op.options

    def call(self: Variable) -> Any:
        data = self._array
        if data.dtype is not _FLOAT32 and data.dtype.kind != "f":
            return apply(op, (self,), options)
        edge = self.node or (self if self._requires_grad else None)
        return run(op, (self,), [data], (edge,), (edge is not None,), options)

    return _document(call, op, _parameters(op))


def binary_operator(op: Primitive) -> Callable[[Any, Any], "Tensor"]:
    """Return the Tensor method for an operator such as `+`, an op with two inputs and no options.

    Two Variables of the same dtype, or a float Variable and a Python number, take a fast path,
    without dtype promotion or a loop over the inputs.
    """
    options, floating = op.options, op.floating

    def call(self: Variable, x: Any) -> Any:
        own = self._array
        dtype = own.dtype
        edge = self.node or (self if self._requires_grad else None)
        if isinstance(x, Variable):
            other = x._array
            if other.dtype is dtype and (not floating or dtype.kind == "f"):
                other_edge = x.node or (x if x._requires_grad else None)
                wanted = (edge is not None, other_edge is not None)
                return run(op, (self, x), (own, other), (edge, other_edge), wanted, options)
        elif (type(x) is float or type(x) is int) and dtype.kind == "f":
            return run(op, (self, x), (own, x), (edge, x), (edge is not None, False), options)
        return apply(op, (self, x), options)

    return _document(call, op, _parameters(op))


def binary_method(op: Primitive) -> Callable[..., "Tensor"]:
    """Return the Tensor method for an op with two inputs; the second may be passed by name."""
    bind, operate = op.bind, binary_operator(op)

    def call(self: Variable, *args: Any, **options: Any) -> Any:
        if options or len(args) != 1:
            inputs, options = bind((self, *args), options)
            return apply(op, inputs, options)
        return operate(self, *args)

    return _document(call, op, _parameters(op))


def _parameters(function: Callable[..., Any]) -> list[inspect.Parameter]:
    """Return the parameters of a function; options of an op become positional if possible."""
    if not isinstance(function, Primitive):
        return list(inspect.signature(function).parameters.values())
    parameters = list(function.signature.parameters.values())
    has_default = [p.default is not p.empty for p in parameters]
    if function.variadic or has_default != sorted(has_default):
        return parameters  # Python requires keywords for these options
    return [p.replace(kind=p.POSITIONAL_OR_KEYWORD) for p in parameters]


def _document(
    call: Callable[..., Any],
    function: Callable[..., Any],
    parameters: Sequence[inspect.Parameter] = (),
) -> Callable[..., Any]:
    """Copy the name and docstring of a function to a method, and set its signature."""
    call.__module__ = "tinygrad_np.frontend.tensor"  # where pickle finds the class
    call.__name__ = function.name if isinstance(function, Primitive) else function.__name__
    call.__qualname__ = f"Tensor.{call.__name__}"
    call.__doc__ = function.__doc__
    if parameters:
        first = parameters[0].replace(name="self")
        signature = inspect.Signature([first, *parameters[1:]])
        call.__signature__ = signature  # type: ignore[attr-defined]
    return call


def _reflect(op: Callable[..., Any]) -> Callable[["Tensor", Any], "Tensor"]:
    """Return a reflected operator method such as `__rsub__`."""

    def method(self: "Tensor", x: Any) -> "Tensor":
        result: Tensor = op(x, self)
        return result

    return method


def _in_place(symbol: str, op: Primitive) -> Callable[["Tensor", Any], "Tensor"]:
    """Return an in-place operator method such as `__iadd__`."""

    def method(self: "Tensor", x: Any) -> "Tensor":
        return update(symbol, op, self, x)

    return method


def unpack(args: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return arguments that were passed one by one or as one sequence."""
    values = args[0] if len(args) == 1 else args
    return tuple(values) if isinstance(values, list | tuple) else args


# Methods made from functions composed of ops; arguments may be passed by synonyms.


def _composite(function: F) -> F:
    """Return the method for a function whose type says what the method returns."""
    _document(call := accept_synonyms(function), function)
    return call


def composite_method(function: Callable[..., Any]) -> Callable[..., "Tensor"]:
    """Return the method for a function that returns a tensor."""
    return _composite(function)


def splitting_method(function: Callable[..., Any]) -> Callable[..., tuple["Tensor", ...]]:
    """Return the method for a function that returns several tensors."""
    return _composite(function)


def ordering_method(function: Callable[..., Any]) -> Callable[..., ValuesAndIndices["Tensor"]]:
    """Return the method for a function that returns values and their indices."""
    return _composite(function)


def sized_method(function: Callable[..., Any]) -> Callable[..., "Tensor"]:
    """Return a method that accepts its sizes as one tuple or as separate ints."""
    first, sizes = _parameters(function)
    name = sizes.name

    def call(self: "Tensor", *args: Any, **options: Any) -> Any:
        if options and not args:
            options = rename([name], options)
            args = (options.pop(name),) if name in options else ()
        if options or not args:
            return function(self, *args, **options)
        if isinstance(function, Primitive):
            return apply(function, (self,), {name: unpack(args)})
        return function(self, unpack(args))

    more = inspect.Parameter("args", inspect.Parameter.VAR_POSITIONAL)
    return _document(call, function, [first, sizes, more])


def _joining_method(function: Callable[..., Any]) -> Callable[..., "Tensor"]:
    """Return a method that accepts the tensors to join one by one or as one list."""

    def call(self: Any, *args: Any, dim: Int = 0) -> Any:
        return function(*unpack((self, *args)), dim=dim)

    return _document(accept_synonyms(call), function)


class Operators(Variable):
    """The methods of `Tensor` that run ops."""

    __slots__ = ()
    __module__ = "tinygrad_np"  # as Tensor, in whose name the examples are written

    if TYPE_CHECKING:  # what Tensor sets
        result_class: ClassVar[type[Tensor]]

    # Arithmetic.

    add = binary_method(ops.add)
    sub = binary_method(ops.sub)
    mul = binary_method(ops.mul)
    mod = binary_method(ops.mod)
    fmod = binary_method(ops.fmod)
    pow = binary_method(ops.pow)
    neg = unary_method(ops.neg)
    abs = unary_method(ops.abs)
    sign = unary_method(ops.sign)
    floor = unary_method(ops.floor)
    ceil = unary_method(ops.ceil)
    trunc = unary_method(ops.trunc)
    round = unary_method(ops.round)
    maximum = binary_method(ops.maximum)
    minimum = binary_method(ops.minimum)
    clip = composite_method(ops.clip)
    clamp = clip
    nan_to_num = composite_method(ops.nan_to_num)
    lerp = composite_method(ops.lerp)
    copysign = binary_method(ops.copysign)

    @accept_synonyms
    def div(self, other: Any, rounding_mode: str | None = None) -> "Tensor":
        """Divide elementwise by `other`.

        Args:
            other: the divisor.
            rounding_mode: None for true division, which converts integers to float32; "floor" or
                "trunc" to round down or toward 0, which keeps integers and has gradient 0.

        Raises:
            ArgumentError: if `rounding_mode` is unknown, or an integer is divided by the integer
                0 with rounding.

        >>> Tensor([7, -7]).div(2), Tensor([7, -7]).div(2, rounding_mode="floor")
        (Tensor([ 3.5, -3.5]), Tensor([ 3, -4]))
        """
        if rounding_mode not in _DIVISIONS:
            raise ArgumentError(
                "div: expected `rounding_mode` to be None, 'floor' or 'trunc', got "
                f"{rounding_mode!r}."
            )
        result: Tensor = _DIVISIONS[rounding_mode](self, other)
        return result

    __add__ = binary_operator(ops.add)
    __sub__ = binary_operator(ops.sub)
    __mul__ = binary_operator(ops.mul)
    __truediv__ = binary_operator(ops.div)
    __floordiv__ = binary_operator(ops.floor_div)
    __mod__ = binary_operator(ops.mod)
    __pow__ = binary_operator(ops.pow)
    __radd__ = __add__
    __rmul__ = __mul__
    __neg__ = neg
    __abs__ = abs

    def __pos__(self) -> Self:
        return self

    __iadd__ = _in_place("+=", ops.add)
    __isub__ = _in_place("-=", ops.sub)
    __imul__ = _in_place("*=", ops.mul)
    __itruediv__ = _in_place("/=", ops.div)
    __ifloordiv__ = _in_place("//=", ops.floor_div)
    __imod__ = _in_place("%=", ops.mod)
    __ipow__ = _in_place("**=", ops.pow)
    __iand__ = _in_place("&=", ops.bitwise_and)
    __ior__ = _in_place("|=", ops.bitwise_or)
    __ixor__ = _in_place("^=", ops.bitwise_xor)
    __ilshift__ = _in_place("<<=", ops.lshift)
    __irshift__ = _in_place(">>=", ops.rshift)

    __rsub__ = _reflect(ops.sub)
    __rtruediv__ = _reflect(ops.div)
    __rpow__ = _reflect(ops.pow)
    __rmod__ = _reflect(ops.mod)
    __rfloordiv__ = _reflect(ops.floor_div)

    # Comparisons, predicates and bitwise ops.

    eq = binary_method(ops.eq)
    ne = binary_method(ops.ne)
    lt = binary_method(ops.lt)
    le = binary_method(ops.le)
    gt = binary_method(ops.gt)
    ge = binary_method(ops.ge)
    __eq__ = binary_operator(ops.eq)  # type: ignore[assignment]
    __ne__ = binary_operator(ops.ne)  # type: ignore[assignment]
    __lt__ = binary_operator(ops.lt)
    __le__ = binary_operator(ops.le)
    __gt__ = binary_operator(ops.gt)
    __ge__ = binary_operator(ops.ge)
    __hash__ = Variable.__hash__

    isnan = unary_method(ops.isnan)
    isinf = method(ops.isinf)
    isfinite = unary_method(ops.isfinite)
    isclose = method(ops.isclose)
    allclose = _composite(ops.allclose)
    logical_not = unary_method(ops.logical_not)
    logical_and = binary_method(ops.logical_and)
    logical_or = binary_method(ops.logical_or)
    logical_xor = binary_method(ops.logical_xor)
    bitwise_not = unary_method(ops.bitwise_not)
    lshift = binary_method(ops.lshift)
    rshift = binary_method(ops.rshift)

    __and__ = binary_operator(ops.bitwise_and)
    __or__ = binary_operator(ops.bitwise_or)
    __xor__ = binary_operator(ops.bitwise_xor)
    __lshift__ = binary_operator(ops.lshift)
    __rshift__ = binary_operator(ops.rshift)
    __invert__ = bitwise_not
    __rand__ = __and__
    __ror__ = __or__
    __rxor__ = __xor__
    __rlshift__ = _reflect(ops.lshift)
    __rrshift__ = _reflect(ops.rshift)

    # Elementwise functions.

    exp = unary_method(ops.exp)
    exp2 = unary_method(ops.exp2)
    expm1 = unary_method(ops.expm1)
    log = unary_method(ops.log)
    log2 = unary_method(ops.log2)
    log10 = unary_method(ops.log10)
    log1p = unary_method(ops.log1p)
    logaddexp = binary_method(ops.logaddexp)
    sqrt = unary_method(ops.sqrt)
    rsqrt = unary_method(ops.rsqrt)
    square = composite_method(ops.square)
    reciprocal = composite_method(ops.reciprocal)
    sin = unary_method(ops.sin)
    cos = unary_method(ops.cos)
    tan = unary_method(ops.tan)
    asin = unary_method(ops.asin)
    acos = unary_method(ops.acos)
    atan = unary_method(ops.atan)
    atan2 = binary_method(ops.atan2)
    sinh = unary_method(ops.sinh)
    cosh = unary_method(ops.cosh)
    tanh = unary_method(ops.tanh)
    asinh = unary_method(ops.asinh)
    acosh = unary_method(ops.acosh)
    atanh = unary_method(ops.atanh)
    erf = unary_method(ops.erf)

    # Activations.

    relu = unary_method(ops.relu)
    relu6 = composite_method(ops.relu6)
    leaky_relu = composite_method(ops.leaky_relu)
    elu = composite_method(ops.elu)
    celu = composite_method(ops.celu)
    selu = composite_method(ops.selu)
    gelu = method(ops.gelu)
    quick_gelu = composite_method(ops.quick_gelu)
    silu = composite_method(ops.silu)
    swish = silu
    mish = composite_method(ops.mish)
    sigmoid = unary_method(ops.sigmoid)
    logsigmoid = composite_method(ops.logsigmoid)
    softplus = composite_method(ops.softplus)
    softsign = composite_method(ops.softsign)
    hardtanh = method(ops.hardtanh)
    hardsigmoid = composite_method(ops.hardsigmoid)
    hardswish = composite_method(ops.hardswish)
    softmax = method(ops.softmax)
    softmin = composite_method(ops.softmin)
    log_softmax = method(ops.log_softmax)
    layernorm = composite_method(ops.layernorm)
    batchnorm = composite_method(ops.batchnorm)
    dropout = composite_method(ops.dropout)

    # Reductions and scans.

    sum = method(ops.sum)
    mean = method(ops.mean)
    max = method(ops.max)
    min = method(ops.min)
    amax = max
    amin = min
    median = composite_method(ops.median)
    prod = method(ops.prod)
    var = composite_method(ops.var)
    std = composite_method(ops.std)
    std_mean = splitting_method(ops.std_mean)
    var_mean = splitting_method(ops.var_mean)
    all = method(ops.all)
    any = method(ops.any)
    argmax = method(ops.argmax)
    argmin = method(ops.argmin)
    logsumexp = method(ops.logsumexp)
    cumsum = method(ops.cumsum)
    cumprod = method(ops.cumprod)
    cummax = ordering_method(ops.cummax)
    cummin = ordering_method(ops.cummin)
    logcumsumexp = method(ops.logcumsumexp)

    # Shape and order.

    reshape = sized_method(ops.reshape)
    view = reshape
    view_as = composite_method(ops.view_as)
    flatten = composite_method(ops.flatten)
    ravel = flatten
    unflatten = composite_method(ops.unflatten)
    squeeze = composite_method(ops.squeeze)
    unsqueeze = composite_method(ops.unsqueeze)
    permute = sized_method(ops.permute)
    transpose = method(ops.transpose)
    swapaxes = transpose
    movedim = composite_method(ops.movedim)
    expand = sized_method(ops.expand)
    broadcast_to = expand
    expand_as = composite_method(ops.expand_as)
    cat = _joining_method(ops.cat)
    stack = _joining_method(ops.stack)
    split = splitting_method(ops.split)
    chunk = splitting_method(ops.chunk)
    unbind = splitting_method(ops.unbind)
    repeat = sized_method(ops.repeat)
    tile = sized_method(ops.tile)
    repeat_interleave = composite_method(ops.repeat_interleave)
    flip = sized_method(ops.flip)
    roll = composite_method(ops.roll)
    pad = composite_method(ops.pad)
    shrink = composite_method(ops.shrink)
    unfold = composite_method(ops.unfold)
    diff = composite_method(ops.diff)
    meshgrid = splitting_method(ops.meshgrid)
    rearrange = ops.rearrange  # the names of its sizes are the caller's
    sort = ordering_method(ops.sort)
    argsort = method(ops.argsort)
    topk = ordering_method(ops.topk)

    # Indexing.

    __getitem__ = ops.getitem
    select = composite_method(ops.select)
    index_select = composite_method(ops.index_select)
    gather = composite_method(ops.gather)
    scatter = composite_method(ops.scatter)
    scatter_add = composite_method(ops.scatter_add)
    scatter_reduce = composite_method(ops.scatter_reduce)
    masked_fill = composite_method(ops.masked_fill)
    masked_select = composite_method(ops.masked_select)
    nonzero = method(ops.nonzero)
    one_hot = method(ops.one_hot)

    # Matrix products.

    matmul = composite_method(ops.matmul)
    dot = composite_method(ops.dot)
    mm = composite_method(ops.mm)
    bmm = composite_method(ops.bmm)
    addmm = composite_method(ops.addmm)
    outer = composite_method(ops.outer)
    __matmul__ = ops.matmul

    def __rmatmul__(self, x: Any) -> "Tensor":
        result: Tensor = ops.matmul(x, self)
        return result

    linear = method(ops.linear)
    einsum = staticmethod(composite_method(ops.einsum))

    # Linear algebra.

    trace = composite_method(ops.trace)
    diagonal = method(ops.diagonal)
    diag = composite_method(ops.diag)
    tril = method(ops.tril)
    triu = method(ops.triu)
    norm = method(ops.norm)
    normalize = composite_method(ops.normalize)
    inv = unary_method(ops.inv)
    solve = binary_method(ops.solve)
    det = unary_method(ops.det)
    slogdet = splitting_method(ops.slogdet)
    cholesky = unary_method(ops.cholesky)
    qr = splitting_method(ops.qr)
    svd = splitting_method(ops.svd)

    # Convolution, pooling, resizing and attention.

    conv2d = method(ops.conv2d)
    conv_transpose2d = composite_method(ops.conv_transpose2d)
    max_pool2d = _composite(ops.max_pool2d)
    avg_pool2d = method(ops.avg_pool2d)
    adaptive_avg_pool2d = composite_method(ops.adaptive_avg_pool2d)
    max_unpool2d = composite_method(ops.max_unpool2d)
    interpolate = composite_method(ops.interpolate)

    scaled_dot_product_attention = composite_method(ops.scaled_dot_product_attention)

    # Losses.

    cross_entropy = composite_method(ops.cross_entropy)
    nll_loss = composite_method(ops.nll_loss)
    sparse_categorical_crossentropy = composite_method(ops.sparse_categorical_crossentropy)
    binary_crossentropy = composite_method(ops.binary_crossentropy)
    binary_crossentropy_logits = composite_method(ops.binary_crossentropy_logits)

"""The vocabulary: every op is one record, in the file of its family; `table` has them by name.

An op's name here is a function of Tensors or of arrays: VJPs are written in them.
"""

from tinygrad_np.autograd import op as record
from tinygrad_np.autograd.op import Op
from tinygrad_np.autograd.op import cast as cast
from tinygrad_np.ops import (
    activations,
    attention,
    contractions,
    conv,
    elementwise,
    factorizations,
    functions,
    indexing,
    linalg,
    losses,
    norms,
    order,
    pool,
    reduce,
    resize,
    scan,
    scattering,
    shape,
)
from tinygrad_np.ops.activations import *
from tinygrad_np.ops.attention import *
from tinygrad_np.ops.contractions import *
from tinygrad_np.ops.conv import *
from tinygrad_np.ops.elementwise import *
from tinygrad_np.ops.factorizations import *
from tinygrad_np.ops.functions import *
from tinygrad_np.ops.indexing import *
from tinygrad_np.ops.linalg import *
from tinygrad_np.ops.losses import *
from tinygrad_np.ops.norms import *
from tinygrad_np.ops.order import *
from tinygrad_np.ops.pool import *
from tinygrad_np.ops.reduce import *
from tinygrad_np.ops.resize import *
from tinygrad_np.ops.scan import *
from tinygrad_np.ops.scattering import *
from tinygrad_np.ops.shape import *

_families = (
    elementwise, functions, activations, reduce, scan, order, shape, indexing, scattering, linalg,
    contractions, factorizations, conv, pool, resize, attention, losses, norms,
)  # fmt: skip

table: dict[str, Op] = {
    found.name: found
    for family in (record, *_families)
    for found in vars(family).values()
    if isinstance(found, Op)
}

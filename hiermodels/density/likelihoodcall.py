"""Call a family's compiled log-density at its address, which travels with the data.

An address inside a kernel would keep the kernel out of the cache, and a kernel for each family
would compile everything once more for each.
"""

from __future__ import annotations

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

__all__ = ["call_likelihood"]


@intrinsic
def call_likelihood(typing_context, address, n, y, trials, predictors, constant, value, slope):
    """Write values (N,) and slopes (K, N) of the log-density; return its code, 0 for success."""
    arrays = (y, trials, predictors, constant, value, slope)
    signature = types.int64(types.int64, types.int64, *arrays)

    def generate(context, builder, signature, arguments):
        address, n, *arrays = arguments
        pointers = [
            context.make_array(kind)(context, builder, array).data
            for kind, array in zip(signature.args[2:], arrays, strict=True)
        ]
        i64 = ir.IntType(64)
        kinds = [i64, *(pointer.type for pointer in pointers)]
        function = ir.FunctionType(i64, kinds).as_pointer()
        return builder.call(builder.inttoptr(address, function), [n, *pointers])

    return signature, generate

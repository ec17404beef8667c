"""Factor and invert one symmetric positive definite matrix, small by hand and large by LAPACK.

LAPACK's routines are called at addresses that travel with the data: an address inside a kernel
would keep the kernel out of the cache.
"""

from __future__ import annotations

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import get_cython_function_address, intrinsic

from .compilation import SUM, kernel

__all__ = [
    "factor",
    "factor_by_hand",
    "invert_factored",
    "lapack_addresses",
    "log_diagonal",
    "solve_lower",
    "solve_lower_transposed",
]

BY_HAND = 24
"""Up to this size a loop costs less than the call."""


def lapack_addresses() -> tuple[int, int]:
    """Addresses of dpotrf and dpotri."""
    names = ("dpotrf", "dpotri")
    potrf, potri = (
        get_cython_function_address("scipy.linalg.cython_lapack", name) for name in names
    )
    return potrf, potri


@intrinsic
def _call_spd_routine(typing_context, address, n, matrix):
    """Call ``routine(uplo='U', n, matrix, n, info)`` and return info."""
    signature = types.int32(types.int64, types.int64, matrix)

    def generate(context, builder, signature, arguments):
        address, n, matrix = arguments
        array = context.make_array(signature.args[2])(context, builder, matrix)
        i8, i32 = ir.IntType(8), ir.IntType(32)
        uplo = cgutils.alloca_once_value(builder, ir.Constant(i8, ord("U")))
        size = cgutils.alloca_once_value(builder, builder.trunc(n, i32))
        info = cgutils.alloca_once_value(builder, ir.Constant(i32, 0))
        arguments = [uplo, size, array.data, size, info]
        routine = ir.FunctionType(
            ir.VoidType(), [argument.type for argument in arguments]
        ).as_pointer()
        builder.call(builder.inttoptr(address, routine), arguments)
        return builder.load(info)

    return signature, generate


@kernel
def factor(matrix, potrf):
    """Overwrite the lower triangle by the Cholesky factor C; False if not positive definite."""
    if matrix.shape[0] > BY_HAND:
        return _call_spd_routine(potrf, matrix.shape[0], matrix) == 0
    return factor_by_hand(matrix)


@kernel
def factor_by_hand(matrix):
    """Do as `factor` without LAPACK."""
    for i in range(matrix.shape[0]):
        for j in range(i):
            matrix[i, j] = (matrix[i, j] - _dot(matrix[i], matrix[j], j)) / matrix[j, j]
        pivot = matrix[i, i] - _dot(matrix[i], matrix[i], i)
        if not pivot > 0.0:
            return False
        matrix[i, i] = np.sqrt(pivot)
    return True


@kernel
def invert_factored(matrix, potri):
    """From C in the lower triangle make the full symmetric inverse of C C'."""
    n = matrix.shape[0]
    if n > BY_HAND:
        _call_spd_routine(potri, n, matrix)
    else:
        _invert_lower(matrix)
        _square_transposed(matrix)
    for i in range(n):
        for j in range(i):
            matrix[j, i] = matrix[i, j]


@kernel
def _invert_lower(matrix):
    n = matrix.shape[0]
    for j in range(n):
        matrix[j, j] = 1.0 / matrix[j, j]
        for i in range(j + 1, n):
            total = 0.0
            for k in range(j, i):
                total += matrix[i, k] * matrix[k, j]
            matrix[i, j] = -total / matrix[i, i]


@kernel
def _square_transposed(matrix):
    """Overwrite a lower triangle C^-1 by the lower triangle of C^-T C^-1."""
    n = matrix.shape[0]
    for i in range(n):
        for j in range(i + 1):
            total = 0.0
            for k in range(i, n):
                total += matrix[k, i] * matrix[k, j]
            matrix[i, j] = total


@kernel
def solve_lower(C, x):
    """Overwrite x by C^-1 x."""
    for i in range(len(x)):
        x[i] = (x[i] - _dot(C[i], x, i)) / C[i, i]


@kernel
def solve_lower_transposed(C, x):
    """Overwrite x by C^-T x."""
    for i in range(len(x) - 1, -1, -1):
        x[i] /= C[i, i]
        for j in range(i):
            x[j] -= C[i, j] * x[i]


@kernel
def log_diagonal(C):
    """Sum of log C_kk, half the log determinant."""
    total = 0.0
    for k in range(C.shape[0]):
        total += np.log(C[k, k])
    return total


@kernel(fastmath=SUM)
def _dot(a, b, n):
    total = 0.0
    for k in range(n):
        total += a[k] * b[k]
    return total

"""Loops over vectors that several kernels are made of; targets are overwritten."""

from __future__ import annotations

from .compilation import SUM, kernel

__all__ = ["add_scaled", "copy", "dot", "multiply", "scale", "subtract"]


@kernel(fastmath=SUM)
def dot(a, b):
    """Sum of a_k b_k."""
    total = 0.0
    for k in range(len(a)):
        total += a[k] * b[k]
    return total


@kernel
def copy(target, source):
    for k in range(len(target)):
        target[k] = source[k]


@kernel
def scale(target, factor, source):
    for k in range(len(target)):
        target[k] = factor * source[k]


@kernel
def add_scaled(target, factor, source):
    for k in range(len(target)):
        target[k] += factor * source[k]


@kernel
def subtract(target, a, b):
    """Subtract a_k b_k."""
    for k in range(len(target)):
        target[k] -= a[k] * b[k]


@kernel
def multiply(target, source):
    for k in range(len(target)):
        target[k] *= source[k]

"""Coefficients drawn in chunks by threads, straight into the arrays that the posterior keeps.

A chunk is a few hundred draws of one chain with a stream of random numbers of its own, so that the
same seed gives the same draws on any number of cores. A kernel overwrites standard normals by
draws; `Store` maps those to the user's columns and narrows them while they are in the cache, so
that nothing else of the size of all draws is ever made.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..threads import one_thread
from .crossproducts import CrossProducts

__all__ = [
    "AS_THEY_ARE",
    "SINGLE",
    "Coefficients",
    "Store",
    "by_block",
    "chunks",
    "draw_in_chunks",
    "in_threads",
]

CHUNK = 250
"""Draws per task; fixed, so that the draws do not depend on the number of cores."""
AT_ONCE = 8_000_000
"""Bytes of effects that one thread works on before they are stored."""

type Draw = Callable[[slice, NDArray, NDArray], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Store:
    """How draws of effects are kept: b = map b_std by block, (q, q) each, none for as they are;
    in single precision, half the memory, or in double."""

    maps: tuple[NDArray[np.float64], ...] = ()
    single: bool = False

    @property
    def dtype(self) -> type:
        return np.float32 if self.single else np.float64

    def mapped(self, block: int, values: NDArray) -> NDArray:
        """b of values (n, J, q), in one product: a level alone is too small for BLAS."""
        if not self.maps:
            return values
        return (values.reshape(-1, values.shape[2]) @ self.maps[block].T).reshape(values.shape)


AS_THEY_ARE, SINGLE = Store(), Store(single=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Coefficients:
    """Draws of the common coefficients (S, p) and, per block, of the effects (S, J, q).

    After an interrupt only the draws that are ``done`` (S,) mean anything.
    """

    beta: NDArray[np.float64]
    effects: tuple[NDArray, ...]
    done: NDArray[np.bool_]
    interrupted: bool

    def complete(self, chains: int) -> int:
        """How many draws every chain has."""
        done = self.done.reshape(chains, -1).all(axis=0)
        return len(done) if done.all() else int(np.argmin(done))

    def of_chains(self, chains: int, *, first: int = 0, last: int | None = None) -> Coefficients:
        """The draws from `first` to `last` that every chain has, (chains, draws, ...), as views."""
        stop = min(self.complete(chains), last or len(self.done))

        def cut(values: NDArray) -> NDArray:
            shape = (chains, len(values) // chains, *values.shape[1:])
            return values.reshape(shape)[:, first:stop]

        return replace(self, beta=cut(self.beta), effects=tuple(cut(each) for each in self.effects))


def chunks(chains: int, draws: int, size: int = CHUNK) -> list[slice]:
    """Rows of (chains, draws), the first of every chain first: what an interrupt leaves is of all
    chains."""
    return [
        slice(chain * draws + start, chain * draws + min(start + size, draws))
        for start in range(0, draws, size)
        for chain in range(chains)
    ]


def draw_in_chunks(
    products: CrossProducts,
    draw: Draw,
    rows_of: Sequence[slice],
    *,
    rng: np.random.Generator,
    cores: int,
    store: Store,
    effects: bool = True,
    common: NDArray[np.float64] | None = None,
    least: int = 1,
    advance: Callable[[int], None] | None = None,
) -> Coefficients:
    """One draw of all coefficients per row, by ``draw(rows, rest, head)``.

    It finds standard normals in rest (n, m) and head (n, J, q) and overwrites them by draws of the
    rest and of the eliminated factor; with `common` (S, p), coefficients less beta0, the last
    columns of the rest are these.
    Without `effects` those of the eliminated factor are left out, (S, 0, q). Ctrl-C ends it when
    the tasks that have begun, and the first `least`, are done.
    """
    levels, width = products.shapes[products.order[0]]
    levels, size = levels if effects else 0, max((rows.stop for rows in rows_of), default=0)
    n_others = products.rest_size - products.n_common
    head = np.empty((size, levels, width), store.dtype)
    others = np.empty((size, n_others), store.dtype)
    beta = np.zeros((size, products.n_common))  # an interrupt may leave some as they are
    at_once = max(4, AT_ONCE // (8 * max(1, levels * width)))

    def task(rows: slice, stream: np.random.Generator) -> None:
        rest = np.empty((rows.stop - rows.start, products.rest_size))
        if common is None:
            stream.standard_normal(out=rest)
        else:
            rest[:, :n_others] = stream.standard_normal((len(rest), n_others))
            rest[:, n_others:] = common[rows]
        for start in range(rows.start, rows.stop, at_once):
            some = slice(start, min(start + at_once, rows.stop))
            values = stream.standard_normal((some.stop - some.start, levels, width))
            own = rest[some.start - rows.start : some.stop - rows.start]
            draw(some, own, values)
            head[some] = store.mapped(products.order[0], values)
        beta[rows] = rest[:, n_others:]
        kept = by_block(products, head[rows], others[rows])
        drawn = by_block(products, head[rows], rest[:, :n_others])
        for block in products.order[1:]:
            kept[block][...] = store.mapped(block, np.ascontiguousarray(drawn[block]))

    tasks = list(zip(rows_of, rng.spawn(len(rows_of)), strict=True))
    finished, interrupted = in_threads(task, tasks, cores, least=least, advance=advance)
    done = np.zeros(size, bool)
    for rows, is_done in zip(rows_of, finished, strict=True):
        done[rows] = is_done
    return Coefficients(
        beta=beta + products.beta0,
        effects=by_block(products, head, others),
        done=done,
        interrupted=interrupted,
    )


def in_threads(
    task: Callable,
    arguments: Sequence[tuple],
    cores: int,
    *,
    least: int = 0,
    advance: Callable[[int], None] | None = None,
) -> tuple[list[bool], bool]:
    """Run the tasks in order; whether each was done, and whether there was an interrupt.

    Ctrl-C drops those not begun, but for the first `least`; a second one is raised. ``advance`` is
    told how many were done when that grows.
    """
    pool, interrupted = ThreadPoolExecutor(max_workers=cores), False
    with one_thread():
        futures = [pool.submit(task, *each) for each in arguments]
        try:
            for number, future in enumerate(futures):
                future.result()
                if advance is not None:
                    advance(number + 1)
        except KeyboardInterrupt:
            interrupted = True
            for future in futures[least:]:
                future.cancel()
            wait(futures)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
    return [not future.cancelled() for future in futures], interrupted


def by_block(products: CrossProducts, head: NDArray, others: NDArray) -> tuple[NDArray, ...]:
    """The eliminated factor's effects and the other columns in the order of the problem's blocks,
    as views."""
    found = {products.order[0]: head}
    start = 0
    for block in products.order[1:]:
        levels, width = products.shapes[block]
        found[block] = others[..., start : start + levels * width].reshape(
            *others.shape[:-1], levels, width
        )
        start += levels * width
    return tuple(found[block] for block in range(len(products.shapes)))

"""Fits of others into ours."""

__all__ = ["from_bambi"]


def from_bambi() -> None:
    """To be built."""

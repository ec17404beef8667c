"""Numbers into sentences."""

__all__ = ["Sentences"]


class Sentences(tuple[str, ...]):
    """Sentences."""

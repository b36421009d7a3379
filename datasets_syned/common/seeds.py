"""Seeds of rows: a function of what a row is, so that no order, batch or number of processes matters."""

import hashlib

BITS = 53  # exact in every format that a seed is written in


def seed_of(run: int, source_id: str, what: int | str) -> int:
    """
    Args:
        run (`int`): seed of the run.
        source_id (`str`): of the source image.
        what (`int` or `str`): the variant, or what else is drawn.

    Returns:
        `int`: from 0 to 2**53 - 1.
    """
    digest = hashlib.sha256(f"{run}\0{source_id}\0{what}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> (64 - BITS)

"""Seeds of rows: a function of what a row is, so that no order, batch or number of processes matters."""

import hashlib

BITS = 53  # exact in every format that a seed is written in


def seed_of(run: int, source_id: str, what: int | str) -> int:
    """From 0 to 2**53 - 1, by the run's seed, the source image, and the variant or what else is drawn."""
    digest = hashlib.sha256(f"{run}\0{source_id}\0{what}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> (64 - BITS)

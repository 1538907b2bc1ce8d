"""One seed for a study; every random choice derives its own from it, by name."""

from __future__ import annotations

import hashlib

SEED_BITS = 31


def derive(seed: int, *names: str | int) -> int:
    """A seed for one purpose, independent of all others.

    Args:
        seed: The study's seed.
        *names: What it is for, such as ``("trial", "t0007", 2)``.

    Returns:
        An integer in [0, 2**31), the same on every machine.
    """
    text = "\x1f".join([str(seed), *map(str, names)])
    digest = hashlib.blake2b(text.encode(errors="surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> (64 - SEED_BITS)

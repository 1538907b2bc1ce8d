"""What makes two fits the same fit, so that one may go on from the other's checkpoint."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch

from attain.core.codec import encode
from attain.learners._torch.optimizer import Group
from attain.learners._torch.recipe import Recipe
from attain.learners._torch.work import Work


def identify(
    work: Work, recipe: Recipe, groups: Sequence[Group], more: Sequence[str | int | None]
) -> str:
    """Hash of everything that the course of a fit depends on.

    Args:
        work: Its identity and lengths count.
        recipe: All of it counts but how many examples are in memory at once: that depends on what
            is free, and a state says with how many it goes on.
        groups: Names, depths, rates and the first weights count.
        more: What else counts.

    Returns:
        Hexadecimal digest.
    """
    described = [
        [g.depth, g.rate, [[n, list(p.shape), str(p.dtype)] for n, p in g.parameters.items()]]
        for g in groups
    ]
    plain = [encode(replace(recipe, micro=0)), described, work.identity, list(more)]
    digest = hashlib.sha256(json.dumps(plain).encode())
    digest.update(np.ascontiguousarray(work.lengths, dtype=np.int64).tobytes())
    for group in groups:
        for parameter in group.parameters.values():
            whole = parameter.detach().cpu().contiguous().reshape(-1)
            digest.update(whole.view(torch.uint8).numpy().data)
    return digest.hexdigest()

"""Sound tables, and what an audit answers of them."""

from __future__ import annotations

import numpy as np
import pandas as pd

from attain.core.protocols import Subject
from attain.data.audit import CHECKS, audit
from attain.data.infer import describe
from attain.data.load import load_frame
from attain.data.table import to_rows

N = 400


def subject(columns, sealed=None, **roles):
    """The rows of a frame as an audit sees them."""
    frame = load_frame(columns)
    dataset = describe(frame, target="y", **roles)
    has = frame["y"].notna().to_numpy()
    frame = frame.loc[has].reset_index(drop=True)
    return Subject(dataset, frame, to_rows(frame, dataset), sealed or {})


def answers(columns, sealed=None, **roles):
    """Findings by code."""
    return {f.code: f for f in audit(subject(columns, sealed, **roles))}


def answer(code, columns, sealed=None, **roles):
    """One check's finding."""
    check = next(check for check in CHECKS if check.code == code)
    return check().run(subject(columns, sealed, **roles))


def clean(n=N, seed=1, **more):
    """A sound binary table; further columns replace or extend it."""
    rng = np.random.default_rng(seed)
    base = {
        "a": rng.normal(size=n),
        "b": rng.integers(0, 40, n),
        "c": rng.choice(["u", "v", "w"], n),
        "y": rng.choice(["no", "yes"], n),
    }
    return pd.DataFrame({**base, **more})


def amounts(n=N, **more):
    """A sound regression table."""
    return clean(n, **{"y": np.random.default_rng(2).normal(50, 9, n), **more})


NOUNS = ("river", "garden", "lantern", "engine", "window", "letter", "mountain", "coffee", "doctor")
VERBS = ("follows", "watches", "carries", "remembers", "crosses", "paints", "forgets", "answers")
PLACES = ("morning", "harbour", "kitchen", "library", "station", "village", "forest", "valley")


def sentences(n, seed=0):
    """English sentences that have little in common."""
    rng = np.random.default_rng(seed)
    pick = lambda words: words[rng.integers(len(words))]  # noqa: E731
    return [
        f"the {pick(NOUNS)} {pick(VERBS)} the {pick(NOUNS)} from the {pick(PLACES)} and it "
        f"{pick(VERBS)} what the {pick(NOUNS)} of {pick(PLACES)} {pick(VERBS)} "
        f"{''.join(rng.choice(list('abcdefghijklmnop'), 9))}"
        for _ in range(n)
    ]


def prose(n=N, **more):
    """A sound table of texts and two classes."""
    rng = np.random.default_rng(1)
    return pd.DataFrame({"t": sentences(n), "y": rng.choice(["no", "yes"], n), **more})


def edited(texts, share, change):
    """The first `share` of texts changed, each in its own way."""
    count = round(share * len(texts))
    return [change(text) if i < count else text for i, text in enumerate(texts)]

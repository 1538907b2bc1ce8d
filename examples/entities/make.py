"""Write entities.conll: generated sentences with names of people, places, companies, and dates.

    python examples/entities/make.py

Names are made of syllables, so most of those in sealed sentences were never seen in training, and
the same kind of name may be a person, a place or a company: only its neighbours tell.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

SENTENCES = 800
SEED = 1

HEADS = (
    "Al", "Bren", "Cal", "Dor", "El", "Fen", "Gar", "Hol", "Iv", "Jor", "Kel", "Lan", "Mar", "Nor",
    "Os", "Per", "Quin", "Ros", "Sel", "Tor", "Ul", "Ver", "Wil",
)  # fmt: skip
TAILS = (
    "a", "an", "by", "den", "er", "ford", "ia", "in", "ley", "lo", "ma", "mond", "na", "nel", "o",
    "ra", "ric", "ris", "sa", "ton", "va", "well", "wick",
)  # fmt: skip
MONTHS = ("January", "March", "April", "June", "July", "September", "October", "December")
DAYS = ("Monday", "Tuesday", "Thursday", "Friday", "Saturday")
TITLES = ["Dr.", "Ms", "Mr", "Professor"]
FIRMS = ["Group", "Ltd", "Motors", "Bank", "& Sons", "Airlines"]

OPENINGS = (
    "{P} told reporters that", "According to {P} ,", "On {D} ,", "In {L} ,", "Since {D}",
    "Last week", "{O} said on {D} that", "Nobody in {L} knew that", "As {P} wrote to {O} ,",
    "Officials say that",
)  # fmt: skip
CLAUSES = (
    "{P} moved from {L} to {L}", "{O} will open an office in {L}", "{P} left {O} for {O}",
    "the bridge between {L} and {L} was closed", "{P} and {P} met near the old mill",
    "the price of milk fell again", "{O} hired {P} to run its plant in {L}", "rain is expected",
    "the team of {P} won in {L}", "shares of {O} rose by 4 per cent",
    "{P} , who lives in {L} , sued {O}",
    "the mayor of {L} thanked {P}", "trains to {L} were late", "the museum bought two paintings",
)  # fmt: skip
ENDINGS = (".", "until {D} .", "after a visit to {L} .", "without giving reasons .", "on {D} .",
           "for the second time .", "together with {O} .")  # fmt: skip


def name(rng: random.Random) -> str:
    """Two or three syllables."""
    middle = rng.choice(TAILS) if rng.random() < 0.3 else ""
    return rng.choice(HEADS) + middle + rng.choice(TAILS)


def person(rng: random.Random) -> str:
    """With a title, a first name, or neither."""
    before = rng.choice([*TITLES, name(rng), name(rng), ""])
    return f"{before} {name(rng)}".strip() if before not in TITLES else name(rng)


def place(rng: random.Random) -> str:
    """Of one word or two."""
    return (
        name(rng) if rng.random() < 0.8 else f"{rng.choice(['New', 'Port', 'Saint'])} {name(rng)}"
    )


def firm(rng: random.Random) -> str:
    """Often, not always, with what it does."""
    return name(rng) if rng.random() < 0.3 else f"{name(rng)} {rng.choice(FIRMS)}"


def date(rng: random.Random) -> str:
    """A day of the week, or of a month, perhaps with the year."""
    if rng.random() < 0.4:
        return rng.choice(DAYS)
    day = f"{rng.randint(1, 30)} {rng.choice(MONTHS)}"
    return f"{day} {rng.randint(1990, 2025)}" if rng.random() < 0.4 else day


MAKERS: dict[str, tuple[str, Callable[[random.Random], str]]] = {
    "{P}": ("PER", person), "{L}": ("LOC", place), "{O}": ("ORG", firm), "{D}": ("DATE", date),
}  # fmt: skip


def sentence(rng: random.Random) -> list[tuple[str, str]]:
    """Words with their labels."""
    form = f"{rng.choice(OPENINGS)} {rng.choice(CLAUSES)} {rng.choice(ENDINGS)}"
    made: list[tuple[str, str]] = []
    for slot in form.split():
        if slot not in MAKERS:
            made.append((slot, "O"))
            continue
        kind, make = MAKERS[slot]
        words = make(rng).split()
        made += [(word, f"{'I' if i else 'B'}-{kind}") for i, word in enumerate(words)]
    return made


def main() -> None:
    """Write the file beside this one."""
    rng = random.Random(SEED)
    blocks = [
        "".join(f"{word}\t{label}\n" for word, label in sentence(rng)) for _ in range(SENTENCES)
    ]
    Path(__file__).with_name("entities.conll").write_text("\n".join(blocks), encoding="utf-8")


if __name__ == "__main__":
    main()

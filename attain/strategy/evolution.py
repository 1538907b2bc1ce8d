"""Evolution: differential evolution for one goal, NSGA-II for several.

Both are steady-state: the population is read from the history at every proposal, one child is born,
and whatever finishes, late or asked by somebody else, takes part from then on. Nothing is
remembered, so any history can be continued.

Points live in the cube of all parameters. A child inherits a parameter from those of its parents
that have it; one that none of them has is drawn at random.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from attain.core.seeds import derive
from attain.core.space import Categorical
from attain.stats import pareto
from attain.strategy._cache import Encoded
from attain.strategy._encode import Cube
from attain.strategy._opening import Learning, Opening
from attain.strategy._standing import Standing, finished

_TRIES = 10  # children before an evenly spread point is taken instead
_INFEASIBLE = 10**6  # above the number of any front


@dataclass(frozen=True)
class Evolution(Learning[Standing]):
    """Evolutionary search; cheap, robust to ties and noise, good at fronts of several goals.

    Attributes:
        population: Members for one goal; small, because budgets are.
        front: Members for several goals.
        best_share: Share of the population that guides differential evolution (Zhang and Sanderson
            2009, JADE: p between 0.05 and 0.2).
        cross_eta: Distribution index of the crossover of NSGA-II (Deb and Agrawal 1995: 2 to 20).
        mutate_eta: Distribution index of its mutation. Deb et al. (2002) take 20 for 25,000
            evaluations; with 200 of them, larger steps reached twice the volume on ZDT2.
    """

    population: int = 10
    front: int = 20
    best_share: float = 0.2
    cross_eta: float = 15.0
    mutate_eta: float = 5.0

    def _lesson(self, past: Encoded) -> Standing | None:
        standing = finished(past)
        return standing if len(standing.places) >= 4 and len(past.cube) else None

    def _starts(self, lesson: Standing) -> int:
        return (self.front if lesson.several else self.population) - 1

    def _go_on(self, begun: Opening, lesson: Standing) -> None:
        cube, several = begun.past.cube, lesson.several
        parents = self._parents(begun.past, lesson, several)
        while begun.open:
            rng = np.random.default_rng(derive(begun.seed, "evolution", begun.asked))
            born = self._crossed if several else self._stepped
            slot = begun.asked % self.population
            rows = np.array([born(cube, parents, slot, rng) for _ in range(_TRIES)])
            if not begun.add(cube.settle(rows), parents.reason):
                return

    def _parents(self, past: Encoded, standing: Standing, several: bool) -> Parents:
        if several:
            rank, room = fronts(standing, self.front)
            chosen = np.lexsort((-room, rank))[: self.front]
            best = f"front of {int((rank == 0).sum())} trials"
            rows = past.rows[standing.places[chosen]]
            return Parents(rows, rank[chosen], room[chosen], np.arange(len(chosen)), best)
        order = standing.best_first(len(standing.places))
        slots = standing.places[order] % self.population
        taken, first = np.unique(slots, return_index=True)  # the best trial of each slot
        chosen = order[np.sort(first)]
        slots = slots[np.sort(first)]
        best = f"best loss {standing.goals[chosen[0], 0]:.4g}"
        rank = np.arange(len(taken))
        return Parents(past.rows[standing.places[chosen]], rank, 0.0 * rank, slots, best)

    def _stepped(
        self, cube: Cube, parents: Parents, slot: int, rng: np.random.Generator
    ) -> np.ndarray:
        """A child of differential evolution, of the slot's own member.

        current-to-pbest/1/bin (Zhang and Sanderson 2009, eq. 6): a step towards one of the best
        and along the difference of two others, taken over in a share of the parameters. Step
        length and share are drawn for every child (eq. 4 and 5 at their starting values). A step
        over a bound ends halfway to it (section III D).
        """
        own = np.flatnonzero(parents.slots == slot)
        target = own[0] if len(own) else rng.integers(len(parents.rows))
        count = max(1, round(self.best_share * len(parents.rows)))
        guide, (a, b) = rng.integers(count), rng.choice(len(parents.rows), 2, replace=False)
        base = filled(parents.rows[target], parents.rows[guide], rng)
        length, share = drawn_scale(rng), float(np.clip(rng.normal(0.5, 0.1), 0.0, 1.0))
        towards = filled(parents.rows[guide], base, rng)
        along = np.nan_to_num(parents.rows[a] - parents.rows[b])
        step = base + length * (towards - base) + length * along
        step = np.where(step < 0, base / 2, np.where(step > 1, (base + 1) / 2, step))
        choice = np.array([isinstance(axis.parameter, Categorical) for axis in cube.axes])
        donor = filled(parents.rows[a], towards, rng)
        step[choice] = np.where(rng.random(len(cube)) < 0.5, towards, donor)[choice]
        cross = rng.random(len(cube)) < share
        cross[rng.integers(len(cube))] = True
        child = np.where(cross, step, base)
        return np.where(_few(cube, choice, rng), rng.random(len(cube)), child)

    def _crossed(
        self, cube: Cube, parents: Parents, slot: int, rng: np.random.Generator
    ) -> np.ndarray:
        """A child of NSGA-II: two tournaments, crossover, mutation (Deb et al. 2002)."""
        first, second = parents.tournament(rng), parents.tournament(rng)
        a = filled(parents.rows[first], parents.rows[second], rng)
        b = filled(parents.rows[second], a, rng)
        choice = np.array([isinstance(axis.parameter, Categorical) for axis in cube.axes])
        child = crossed(a, b, self.cross_eta, rng)
        child[choice] = np.where(rng.random(len(cube)) < 0.5, a, b)[choice]
        change = rng.random(len(cube)) < 1.0 / len(cube)
        moved = mutated(child, self.mutate_eta, rng)
        moved[choice] = rng.random(int(choice.sum()))
        return np.where(change, moved, child)


@dataclass(frozen=True, eq=False)
class Parents:
    """A population.

    Attributes:
        rows: Points, the best first, shape (p, d), NaN where inactive.
        rank: Smaller is better, shape (p,).
        room: Larger is better among equal ranks, shape (p,).
        slots: Which place of the population each holds, shape (p,).
        best: How good it is, in words.
    """

    rows: np.ndarray
    rank: np.ndarray
    room: np.ndarray
    slots: np.ndarray
    best: str

    @property
    def reason(self) -> str:
        """Why a proposal is made."""
        return f"child of {len(self.rows)} of the best trials; {self.best}"

    def tournament(self, rng: np.random.Generator) -> int:
        """The better of two members drawn at random (Deb et al. 2002, section III B)."""
        a, b = (int(i) for i in rng.integers(len(self.rows), size=2))
        worse = (self.rank[a], -self.room[a]) > (self.rank[b], -self.room[b])
        return b if worse else a


def fronts(standing: Standing, most: int) -> tuple[np.ndarray, np.ndarray]:
    """Front numbers under constraint-dominance, and crowding distances within each.

    A trial that breaks limits is behind all that hold them, by how much it breaks them (Deb et al.
    2002, definition 1).

    Args:
        standing: The finished trials.
        most: How many must have their exact front.

    Returns:
        Two arrays of shape (k,).
    """
    broken = standing.excess > 0
    rank = np.zeros(len(broken), dtype=int)
    rank[~broken] = pareto.ranks(standing.goals[~broken], most)
    rank[broken] = _INFEASIBLE + np.argsort(np.argsort(standing.excess[broken], kind="stable"))
    room = np.zeros(len(broken))
    number, taken = np.unique(rank, return_counts=True)
    for one in number[: int(np.searchsorted(np.cumsum(taken), most)) + 1]:
        room[rank == one] = pareto.crowding(standing.goals[rank == one])
    return rank, room


def filled(row: np.ndarray, other: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A point with the other's values where it has none, and random ones where neither has.

    Args:
        row: Shape (d,), NaN where inactive.
        other: Shape (d,), NaN where inactive.
        rng: Of the random values.

    Returns:
        Shape (d,), no NaN, in [0, 1].
    """
    drawn = rng.random(len(row))
    both = np.where(np.isnan(row), np.where(np.isnan(other), drawn, other), row)
    return np.asarray(np.clip(both, 0.0, 1.0))


def drawn_scale(rng: np.random.Generator) -> float:
    """A step length: Cauchy around 0.5 with scale 0.1, in (0, 1] (JADE, eq. 5)."""
    while (length := 0.5 + 0.1 * float(rng.standard_cauchy())) <= 0:
        pass
    return min(length, 1.0)


def crossed(a: np.ndarray, b: np.ndarray, eta: float, rng: np.random.Generator) -> np.ndarray:
    """Bounded simulated binary crossover (Deb and Agrawal 1995; Deb 2000, eq. 4 and 5).

    Args:
        a: One parent, shape (d,), in [0, 1].
        b: The other one.
        eta: Distribution index; larger means nearer to the parents.
        rng: Of all random choices.

    Returns:
        One of the two children, shape (d,); half of the values are those of a parent.
    """
    low, high = np.minimum(a, b), np.maximum(a, b)
    gap = np.maximum(high - low, 1e-14)
    upper = rng.random() < 0.5
    room = np.where(upper, 1.0 - high, low)
    alpha = 2.0 - (1.0 + 2.0 * room / gap) ** -(eta + 1.0)
    u = rng.random(len(a))
    inner = (u * alpha) ** (1.0 / (eta + 1.0))
    outer = (1.0 / np.maximum(2.0 - u * alpha, 1e-14)) ** (1.0 / (eta + 1.0))
    spread = np.where(u <= 1.0 / alpha, inner, outer)
    child = 0.5 * (low + high + np.where(upper, 1.0, -1.0) * spread * gap)
    swap = rng.random(len(a)) < 0.5
    return np.asarray(np.clip(np.where(swap, child, np.where(upper, b, a)), 0.0, 1.0))


def mutated(row: np.ndarray, eta: float, rng: np.random.Generator) -> np.ndarray:
    """Bounded polynomial mutation of every value (Deb and Goyal 1996; Deb 2000, eq. 7).

    Args:
        row: Shape (d,), in [0, 1].
        eta: Distribution index; larger means smaller changes.
        rng: Of all random choices.

    Returns:
        Shape (d,), in [0, 1].
    """
    u = rng.random(len(row))
    down = (2 * u + (1 - 2 * u) * (1 - row) ** (eta + 1)) ** (1 / (eta + 1)) - 1
    up = 1 - (2 * (1 - u) + (2 * u - 1) * row ** (eta + 1)) ** (1 / (eta + 1))
    with np.errstate(invalid="ignore"):
        return np.asarray(np.clip(row + np.where(u < 0.5, down, up), 0.0, 1.0))


def _few(cube: Cube, choice: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Which choices are drawn afresh, one in 2 d: differences do not move them; shape (d,)."""
    return choice & (rng.random(len(cube)) < 0.5 / len(cube))

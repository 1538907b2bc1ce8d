"""Mathematics of linear heads on texts: losses, gradients, the path, TF-IDF."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from attain.core.types import Signal
from attain.learners._pretrained import heads
from attain.learners._pretrained.linear import Lesson, Linear, walk
from attain.learners._pretrained.outputs import Outputs
from attain.learners._shared import log_loss, softmax
from attain.learners._text.words import fit_terms, splitter, stack

seeds = st.integers(0, 10**6)


def problem(seed, rows=200, width=12, classes=3):
    """Correlated features of very different sizes, one of them constant."""
    rng = np.random.default_rng(seed)
    matrix = rng.normal(size=(rows, width)) @ rng.normal(size=(width, width))
    matrix *= np.logspace(-1, 1, width)
    matrix[:, 0] = 3.0
    scores = matrix @ rng.normal(size=(width, classes)) / np.abs(matrix).mean() / 3
    y = (scores + rng.gumbel(size=scores.shape)).argmax(axis=1)
    y[:classes] = np.arange(classes)
    return matrix.astype(np.float32), y


@pytest.mark.parametrize("kind", ["dense", "sparse"])
@pytest.mark.parametrize("weighted", [False, True])
@settings(max_examples=3, deadline=None)
@given(seed=seeds)
def test_heads_are_those_of_scikit_learn(kind, weighted, seed):
    """Each point of the path minimises the same objective as LogisticRegression at its C."""
    from sklearn.linear_model import LogisticRegression

    X, y = problem(seed)
    weights = np.random.default_rng(seed).uniform(0.5, 2, len(y)) if weighted else None
    design = heads.Dense(X) if kind == "dense" else heads.Sparse(sparse.csr_matrix(X))
    target = heads.softmax_target(y, 3, weights)
    for strength, head in zip(heads.STRENGTHS[:5], heads.path(design, target), strict=False):
        share = np.full(len(y), 1.0) if weights is None else weights / weights.mean()
        C = strength / design.length
        theirs = LogisticRegression(C=C, tol=1e-8, max_iter=5000).fit(X, y, sample_weight=share)

        def objective(slope, intercept, share=share, C=C):
            shares = softmax(X.astype(np.float64) @ slope + intercept)[np.arange(len(y)), y]
            return -(share * np.log(shares)).mean() + (slope**2).sum() / (2 * C * len(y))

        best = objective(theirs.coef_.T, theirs.intercept_)
        assert head.converged
        assert objective(head.slope, head.intercept) == pytest.approx(best, abs=1e-4)


@settings(max_examples=10, deadline=None)
@given(seed=seeds)
def test_values_are_those_of_ridge_regression(seed):
    """The squared loss has a known solution."""
    from sklearn.linear_model import Ridge

    X, y = problem(seed)
    values = (y - y.mean()) / y.std()
    design = heads.Dense(X)
    for strength, head in zip(
        heads.STRENGTHS[:6], heads.path(design, heads.squared_target(values)), strict=False
    ):
        theirs = Ridge(alpha=design.length / strength).fit(X.astype(np.float64), values)
        found = X.astype(np.float64) @ head.slope[:, 0] + head.intercept[0]
        assert np.allclose(found, theirs.predict(X.astype(np.float64)), atol=0.02)


@settings(max_examples=20, deadline=None)
@given(seed=seeds, classify=st.booleans())
def test_gradients_are_those_of_the_losses(seed, classify):
    """Analytic gradients equal differences."""
    rng = np.random.default_rng(seed)
    y = np.append(np.arange(4), rng.integers(0, 4, 16))
    weights = rng.uniform(0.5, 2, 20)
    target = heads.softmax_target(y, 4, weights) if classify else heads.squared_target(y / 2)
    scores = rng.normal(size=(20, 4 if classify else 1))
    step = 1e-5 * rng.normal(size=scores.shape)
    _, gradient = target.loss(scores)
    change = target.loss(scores + step)[0] - target.loss(scores - step)[0]
    assert change == pytest.approx(2 * float((gradient * step).sum()), rel=1e-3, abs=1e-10)


def test_the_first_point_of_all_is_the_best_constant():
    """With nothing but regularisation a head says how frequent classes are."""
    X, y = problem(0)
    head = next(heads.path(heads.Dense(X), heads.softmax_target(y, 3), strengths=(1e-7,)))
    assert np.allclose(softmax(head.intercept[None])[0], np.bincount(y) / len(y), atol=1e-3)
    assert np.abs(X @ head.slope).max() < 1e-3


def test_the_path_goes_from_much_to_little_regularisation():
    """Each next head fits the training rows better."""
    X, y = problem(1)
    losses = [h.loss for h in heads.path(heads.Dense(X), heads.softmax_target(y, 3))]
    assert len(losses) == len(heads.STRENGTHS)
    assert losses == sorted(losses, reverse=True)


def lesson(X, y, rows=150):
    outputs = Outputs(3, (0, 1, 2))
    return Lesson(outputs, y[:rows], stop=X[rows:], stop_targets=y[rows:])


@pytest.mark.parametrize("seed", range(5))
def test_the_head_is_the_one_that_the_stop_rows_like_best(seed):
    """The walk ends once the loss rises, and keeps the smallest one."""
    X, y = problem(seed, rows=190)
    told = []
    design = heads.Dense(X[:150])
    watch = lambda step, losses: told.append(losses["stop"]) or Signal.CONTINUE  # noqa: E731
    head, facts = walk(design, lesson(X, y), watch, {})
    every = [
        log_loss(y[150:], softmax(X[150:] @ h.slope + h.intercept))
        for h in heads.path(design, heads.softmax_target(y[:150], 3))
    ]
    assert told == pytest.approx(every[: len(told)], rel=1e-4)
    assert facts["rounds"] == int(np.argmin(told)) + 1
    assert facts["strength"] == heads.STRENGTHS[facts["rounds"] - 1]
    assert log_loss(y[150:], softmax(head.scores(X[150:]))) == pytest.approx(min(told), rel=1e-4)
    assert len(told) == len(every) or told[-1] > min(told)


def test_scores_of_a_row_do_not_depend_on_the_others():
    """To the last bit, for dense and sparse features."""
    rng = np.random.default_rng(0)
    head = Linear(*(rng.normal(size=s).astype(np.float32) for s in ((40, 7), (7,))))
    X = rng.normal(size=(33, 40)).astype(np.float32)
    for matrix in (X, sparse.csr_matrix(X)):
        whole = head.scores(matrix)
        assert all(np.array_equal(head.scores(matrix[i : i + 1])[0], whole[i]) for i in range(33))


TEXTS = ["The late, late show!", "never AGAIN", "the show was late", "again & again", "", "Ünïcode"]


@pytest.mark.parametrize("longest", [1, 2, 3])
def test_words_are_weighted_as_in_scikit_learn(longest):
    """Terms and weights equal TfidfVectorizer's."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    theirs = TfidfVectorizer(
        sublinear_tf=True, ngram_range=(1, longest), token_pattern=r"\w+|[^\w\s]"
    )
    wanted = theirs.fit_transform(TEXTS)
    terms = fit_terms(0, False, longest, TEXTS)
    assert terms.terms == tuple(theirs.get_feature_names_out())
    assert np.allclose(terms.transform(TEXTS).toarray(), wanted.toarray())


def test_pieces_are_those_of_scikit_learn():
    """Pieces of words equal those of its char_wb analyzer."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    theirs = TfidfVectorizer(sublinear_tf=True, analyzer="char_wb", ngram_range=(2, 5))
    wanted = theirs.fit_transform(TEXTS)
    terms = fit_terms(0, True, 0, TEXTS)
    assert np.allclose(terms.transform(TEXTS).sum(), wanted.sum(), rtol=0.02)
    assert set(terms.terms) == set(theirs.get_feature_names_out())


def test_rare_terms_count_only_among_few_texts():
    """From a thousand texts on, a term that occurs in one of them is left out."""
    many = [f"same w{i}" for i in range(1000)]
    assert fit_terms(0, False, 1, many).terms == ("same",)
    assert len(fit_terms(0, False, 1, many[:999]).terms) == 1000


def test_blocks_read_their_own_text():
    """The terms of the second text are not looked for in the first."""
    blocks = [fit_terms(place, False, 1, t) for place, t in enumerate((["a b"], ["c"]))]
    assert stack(blocks, (["a", "c"], ["a", "c"])).toarray().astype(bool).tolist() == [
        [True, False, False],
        [False, False, True],
    ]


def test_a_text_without_known_terms_is_a_row_of_zeros():
    """Unknown words count nothing."""
    terms = fit_terms(0, False, 1, ["a b", "b c"])
    assert terms.transform(["x y", ""]).nnz == 0
    assert splitter(False, 2)("A b") == ["a", "b", "a b"]


@pytest.mark.parametrize("y", [[2, 0, 2, 5], [1, 1, 1]])
def test_answers_stand_at_the_codes_of_their_classes(y):
    """Positions among the seen classes are not their codes."""
    y = np.array(y)
    seen = tuple(np.unique(y).tolist())
    outputs = Outputs(6, seen)
    scores = 50 * np.eye(len(seen))[outputs.targets(y)]
    found = outputs.answers(scores)
    assert np.array_equal(found.argmax(axis=1), y)
    assert np.allclose(found.sum(axis=1), 1)
    assert outputs.known(np.array([0, 9, seen[0]])).tolist() == [
        i for i, c in enumerate([0, 9, seen[0]]) if c in seen
    ]


def test_values_come_back_in_their_unit():
    """Standardised inside, in the target's unit outside."""
    outputs = Outputs(0, (), center=50.0, scale=10.0)
    y = np.array([40.0, 65.0])
    assert np.allclose(outputs.answers(outputs.targets(y)[:, None]), y)
    assert outputs.loss(outputs.targets(y), np.zeros((2, 1))) == pytest.approx(
        np.sqrt(np.mean((y - 50) ** 2))
    )

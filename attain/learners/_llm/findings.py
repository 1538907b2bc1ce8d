"""What would go wrong in training, told from masks before anything is trained (D060 to D064)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from attain.core.types import Finding, FindingState, Severity
from attain.learners._llm.encode import Coded
from attain.learners._llm.lesson import Taught, end_tokens, last_tokens
from attain.learners._pretrained.load import Body

_FEW = 0.01
"""Share of rows up to which leaving some out is no reason to stop."""
_SHOWN = 20


def inspect(body: Body, taught: Taught, whole: Coded) -> tuple[Finding, ...]:
    """All findings about masks.

    Args:
        body: Tokenizer and positions.
        taught: What is learnt.
        whole: All examples that could be rendered, those that are left out included.

    Returns:
        One finding for each check, found or passed.
    """
    return (
        _unsupervised(taught, whole),
        _open_ends(body, taught),
        _padding(body, taught),
        _too_long(body, taught, whole),
        _refused(taught),
    )


def _unsupervised(taught: Taught, whole: Coded) -> Finding:
    title = "every row has something to learn"
    empty = int(taught.facts["unsupervised"])
    where = whole.rows[whole.supervised == 0][:_SHOWN]
    return _finding(
        "D060", title, empty, taught.facts["rows"],
        f"{empty} of {taught.facts['rows']} rows have no token that is learnt",
        "fill the answers, or leave these rows out; a model trained on them learns nothing",
        where,
    )  # fmt: skip


def _open_ends(body: Body, taught: Taught) -> Finding:
    title = "answers end with a token that ends them"
    last, known = last_tokens(taught.coded), end_tokens(body)
    open_ = ~np.isin(last, sorted(known)) if len(last) else np.zeros(0, bool)
    count = int(open_.sum())
    return _finding(
        "D061", title, count, len(last),
        f"the last learnt token of {count} of {len(last)} examples does not end an answer, so the"
        " model would never learn to stop",
        "use a model whose chat template ends turns with a special token, or add one to its"
        " template",
        taught.coded.rows[open_][:_SHOWN],
        whole=True,
    )  # fmt: skip


def _padding(body: Body, taught: Taught) -> Finding:
    """Padding that is an end token is a trap for who masks by token; here it is by position."""
    title = "padding does not hide the token that ends answers"
    pad = body.tokenizer.pad_token_id
    hidden = _behind(taught.coded, pad)
    if not hidden.any():
        ends = int((last_tokens(taught.coded) == pad).sum()) if pad is not None else 0
        said = "padding and end are different tokens"
        if ends:
            shown = str(body.tokenizer.convert_ids_to_tokens(int(pad)))
            said = (
                f"{shown} pads and ends answers; padding is masked by its position, so the end is"
                f" learnt in {ends} of {len(taught.coded)} examples"
            )
        return Finding(
            "D062", title, FindingState.PASSED, explanation=said, evidence={"ends": ends}
        )
    return _finding(
        "D062", title, int(hidden.sum()), len(hidden),
        f"the token that ends answers also pads, and is not learnt in {int(hidden.sum())} of"
        f" {len(hidden)} examples",
        "give the tokenizer a padding token of its own, or mend its template",
        taught.coded.rows[hidden][:_SHOWN],
        whole=True,
    )  # fmt: skip


def _behind(coded: Coded, pad: int | None) -> np.ndarray:
    """Examples in which padding's token stands right behind what is learnt, and is not learnt."""
    found = np.zeros(len(coded), dtype=bool)
    for i in range(len(coded) if pad is not None else 0):
        ids, trained = coded.row(i)
        after = np.flatnonzero(trained)[-1] + 1 if trained.any() else len(ids)
        found[i] = after < len(ids) and ids[after] == pad
    return found


def _too_long(body: Body, taught: Taught, whole: Coded) -> Finding:
    title = "no answer is cut off"
    count = int(taught.facts["too_long"])
    where = whole.rows[whole.lengths > body.longest][:_SHOWN]
    return _finding(
        "D063", title, count, taught.facts["rows"],
        f"{count} of {taught.facts['rows']} rows are longer than the {body.longest} tokens that the"
        " model takes; cut, they would teach it answers without an end, so they are left out",
        "shorten or split them, or use a model that takes more",
        where,
    )  # fmt: skip


def _refused(taught: Taught) -> Finding:
    title = "the model's template can write every row"
    count = int(taught.facts["refused"])
    return _finding(
        "D064", title, count, taught.facts["rows"],
        f"{count} of {taught.facts['rows']} rows cannot be rendered so that their answers can be"
        f" told apart, and are left out; the first: {taught.why or 'no pair of answers'}",
        "check the roles and their order",
        (),
    )  # fmt: skip


def _finding(
    code: str,
    title: str,
    count: int,
    total: int,
    explanation: str,
    remedy: str,
    rows: np.ndarray | Sequence[int],
    whole: bool = False,
) -> Finding:
    """Found if there is any; it blocks above one in a hundred, or at once if it spoils the rest."""
    if not count:
        return Finding(code, title, FindingState.PASSED, explanation=f"all {total} do")
    blocks = count > _FEW * total or (whole and count == total)
    return Finding(
        code,
        title,
        FindingState.FOUND,
        Severity.BLOCKER if blocks else Severity.ISSUE,
        explanation,
        remedy,
        rows=tuple(int(row) for row in rows),
        evidence={"rows": count, "share": count / max(1, total)},
    )

"""What is kept of each row that a language model was asked about, and what metrics make of it.

A prediction of a language model is a row of counts and sums, as `core.counts` has it.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

COLUMNS = (
    "loss",  # sum over supervised tokens of the negative log probability, in nats
    "tokens",  # supervised tokens
    "right",  # of these, how many were the most probable ones
    "answers",  # 1 for each row with something supervised
    "whole",  # 1 if all of its tokens were the most probable ones
    "written",  # 1 if an answer was generated
    "ended",  # 1 if it ended by itself
    "exact",  # 1 if it equals the reference but for blanks at both ends and runs of blanks
    "numbered",  # 1 if an answer was generated and the reference holds a number
    "number",  # 1 if the last number of the answer is that of the reference
    "contains",  # 1 if the reference stands in the answer
    "matches",  # 1 if the reference, read as a regular expression, is found in the answer
    "patterns",  # 1 if an answer was generated and the reference is a regular expression
    "rouge_l",  # F-measure of the longest common subsequence of words
    "chrf",  # F-measure of runs of characters, beta 2
    "json",  # 1 if it is JSON of the reference's form
    "pairs",  # 1 for each row with a rejected answer
    "won",  # 1 if the chosen answer is more probable, 1/2 for equals
    "won_a_token",  # the same for the mean over the tokens of each
    "schemas",  # 1 if an answer was generated and a schema is stated
    "satisfied",  # 1 if it is JSON that satisfies the schema
    "compared",  # 1 for each pair that the pre-trained model was asked about, too
    "grown",  # 1 if the chosen answer leads by more than it did in the pre-trained model, 1/2 if as
)
"""Columns of a prediction of shape (n, len(COLUMNS))."""

RATIOS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "token_loss": ("loss", "tokens"),
        "perplexity": ("loss", "tokens"),
        "token_accuracy": ("right", "tokens"),
        "exact_match": ("exact", "written"),
        "numeric_match": ("number", "numbered"),
        "contains": ("contains", "written"),
        "regex_match": ("matches", "patterns"),
        "rouge_l": ("rouge_l", "written"),
        "chrf": ("chrf", "written"),
        "json_valid": ("json", "written"),
        "schema_valid": ("satisfied", "schemas"),
        "ends": ("ended", "written"),
        "win_rate": ("won", "pairs"),
        "win_rate_per_token": ("won_a_token", "pairs"),
        "reward_accuracy": ("grown", "compared"),
    }
)
"""Metric: the sums whose quotient it is; ``perplexity`` is the exponential of its quotient."""

WRITTEN = frozenset(name for name, (_, per) in RATIOS.items()
                    if per in ("written", "numbered", "patterns", "schemas"))  # fmt: skip
"""Metrics of generated answers."""


def place(column: str) -> int:
    """Position of a column."""
    return COLUMNS.index(column)

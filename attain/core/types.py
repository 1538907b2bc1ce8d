"""The records that steps exchange, in one place to import from.

They live in `data_types` (what is wanted, what is known of the rows), `trial_types` (what is tried)
and `verdict_types` (what follows, and the ledger's records).
"""

from attain.core.attribution_types import Attribution, ReadCell, ReadText, SeenFile, WordShare
from attain.core.data_types import (
    Column,
    ColumnKind,
    ColumnRole,
    Dataset,
    Direction,
    Finding,
    FindingState,
    Objective,
    Pretrained,
    Role,
    Rows,
    Severity,
    Task,
)
from attain.core.forecast_types import Forecast, RungForecast
from attain.core.trial_types import (
    LOSSES,
    CurvePoint,
    Observed,
    Outcome,
    Proposal,
    Score,
    Signal,
    Split,
    SplitKind,
    Status,
    Trial,
)
from attain.core.verdict_types import (
    Decision,
    Diagnosis,
    Draft,
    Move,
    ObjectiveVerdict,
    Record,
    Verdict,
    VerdictState,
)

__all__ = [
    "LOSSES",
    "Attribution",
    "Column",
    "ColumnKind",
    "ColumnRole",
    "CurvePoint",
    "Dataset",
    "Decision",
    "Diagnosis",
    "Direction",
    "Draft",
    "Finding",
    "FindingState",
    "Forecast",
    "Move",
    "Objective",
    "ObjectiveVerdict",
    "Observed",
    "Outcome",
    "Pretrained",
    "Proposal",
    "ReadCell",
    "ReadText",
    "Record",
    "Role",
    "Rows",
    "RungForecast",
    "Score",
    "SeenFile",
    "Severity",
    "Signal",
    "Split",
    "SplitKind",
    "Status",
    "Task",
    "Trial",
    "Verdict",
    "VerdictState",
    "WordShare",
]

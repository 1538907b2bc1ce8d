"""The model card: Markdown with the metadata that model hubs read."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from attain.report import numbers, reliability

_FOLDER = Path(__file__).parent / "templates"
_SPACE = re.compile(r"\s+")
# Characters that could start markup, a link or a table cell.
_SPECIAL = re.compile(r"([\\`*_\[\]{}|#~!])")
_TASKS = {
    "binary": ("tabular-classification", "binary classification"),
    "multiclass": ("tabular-classification", "classification"),
    "multilabel": ("tabular-classification", "multi-label classification"),
    "regression": ("tabular-regression", "regression"),
}


def render(evidence: Mapping[str, Any]) -> str:
    """A model card in Markdown, with YAML front matter as Hugging Face reads it.

    Sources: Mitchell et al. 2019, "Model Cards for Model Reporting", for the sections; the hub's
    model card specification for the front matter (``model-index``).

    Args:
        evidence: As `evidence.collect` gives it.

    Returns:
        Markdown. Text from data and study is escaped; it cannot add markup or HTML.
    """
    body = _environment().get_template("card.md.j2").render(e=evidence)
    body = re.sub(r"\n{3,}", "\n\n", body.strip())
    return f"---\n{front_matter(evidence)}---\n\n{body}\n"


def front_matter(evidence: Mapping[str, Any]) -> str:
    """The metadata as YAML.

    Args:
        evidence: As `evidence.collect` gives it.

    Returns:
        Lines of YAML, without the dashes around them.
    """
    from ruamel.yaml import YAML

    study, verdict = evidence["study"], evidence["verdict"]
    pipeline, task = _TASKS.get(study["task"], ("tabular-classification", "unknown task"))
    scores = verdict["scores"] if verdict else []
    goals = [s for s in scores if not s["unit"] and s["estimate"] is not None]
    fields: dict[str, Any] = {
        "library_name": "attain",
        "pipeline_tag": pipeline,
        "tags": ["attain", "tabular", pipeline],
    }
    if study["license"]:
        fields = {"license": study["license"], **fields}
    if goals:
        fields["metrics"] = [s["metric"] for s in goals]
        results = [
            {
                "type": s["metric"],
                "value": s["estimate"],
                "name": f"{numbers.words(s['metric'])}, sealed test, "
                f"{numbers.share(s['confidence'])} interval {numbers.interval(s)}",
            }
            for s in goals
        ]
        dataset = {"name": study["name"], "type": "tabular"}
        result = {"task": {"type": pipeline, "name": task}, "dataset": dataset, "metrics": results}
        fields["model-index"] = [{"name": f"{study['name']} model", "results": [result]}]
    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = False
    yaml.allow_unicode = True
    yaml.width = 4096
    yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment]  # typed as None
    stream = io.StringIO()
    yaml.dump(_ordinary(fields), stream)
    return stream.getvalue()


def _ordinary(value: Any) -> Any:
    """The same with ordinary spaces and safe characters in all texts."""
    if isinstance(value, dict):
        return {key: _ordinary(inside) for key, inside in value.items()}
    if isinstance(value, list):
        return [_ordinary(inside) for inside in value]
    return _SPACE.sub(" ", numbers.printable(value)) if isinstance(value, str) else value


def plain(value: Any) -> Any:
    """What every expression of the template passes through: one line that is nothing but text."""
    if value is None:
        return ""
    if isinstance(value, Markup) or not isinstance(value, str):
        return value
    text = _SPACE.sub(" ", numbers.printable(value))
    escaped = _SPECIAL.sub(r"\\\1", text).replace("&", "&amp;")
    return Markup(escaped.replace("<", "&lt;").replace(">", "&gt;"))


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_FOLDER),
        autoescape=False,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=plain,
    )
    environment.globals |= {"trust": reliability}
    environment.filters |= {
        "goal": lambda objective: numbers.capital(numbers.goal(objective)),
        "metric": lambda name: numbers.capital(numbers.words(name)),
        "estimate": numbers.estimate,
        "interval": numbers.interval,
        "with_interval": numbers.with_interval,
        "percent": numbers.share,
        "number": numbers.number,
        "setting": numbers.setting,
        "count": lambda n, noun: numbers.plural(int(n), noun),
        "listed": numbers.listed,
        # Text that findings and advice have already put into words; only data need guarding.
        "sentence": lambda text: numbers.capital(text.strip().rstrip(".")),
    }
    return environment

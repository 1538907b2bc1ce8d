"""What the parts of one invocation share, and the options that every command takes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

Command = Callable[..., Any]

VERBS = (
    *("import", "init", "plan", "audit", "run", "watch", "report", "test", "predict", "export"),
    *("serve", "doctor"),
)
HELP_OPTIONS = {"help_option_names": ["-h", "--help"], "max_content_width": 100}
STUDY_FILE = Path("attain.yaml")


@dataclass
class Call:
    """One invocation of the command line.

    Attributes:
        arguments: As typed.
        command: Name of the command.
        as_json: Whether the result is wanted as JSON.
        debug: Whether tracebacks are wanted.
        folder: The study folder, once it is known.
    """

    arguments: tuple[str, ...] = ()
    command: str = ""
    as_json: bool = False
    debug: bool = False
    folder: Path | None = None

    @property
    def wants_json(self) -> bool:
        """Whether JSON was asked for, even if the arguments could not be parsed to the end."""
        return self.as_json or "--json" in self.arguments


def _note(ctx: click.Context, parameter: click.Parameter, value: bool) -> None:
    setattr(ctx.ensure_object(Call), str(parameter.name), value)


def _flag(option: str, name: str, text: str) -> Callable[[Command], Command]:
    return click.option(
        option, name, is_flag=True, expose_value=False, is_eager=True, callback=_note, help=text
    )


def shared(function: Command) -> Command:
    """Add the options that every command takes, and hand it the `Call` as first argument.

    Args:
        function: The command's function.

    Returns:
        The decorated function.
    """
    function = _flag("--debug", "debug", "Show the traceback of an unexpected error.")(function)
    function = _flag("--json", "as_json", "Print the result as one JSON object.")(function)
    return click.pass_obj(function)


def file_of(path: Path) -> Path:
    """The study file that a path stands for.

    Args:
        path: A study file, or a folder that holds one.

    Returns:
        The file; whether it exists is checked when it is read.
    """
    return path / STUDY_FILE if path.is_dir() else path


study_file_argument = click.argument(
    "study_file", type=click.Path(path_type=Path), default=STUDY_FILE, metavar="[STUDY_FILE]"
)
study_argument = click.argument(
    "study", type=click.Path(path_type=Path), required=False, metavar="[STUDY]"
)

"""Write docs/cli.md from the commands' own help.

    python tools/cli_docs.py [--check]

With ``--check`` nothing is written; the exit code is 1 when the file is not what it should be.
"""

from __future__ import annotations

import sys
from pathlib import Path

import click

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from attain.cli.call import VERBS  # noqa: E402 - found through the line above
from attain.cli.main import cli  # noqa: E402

FILE = ROOT / "docs" / "cli.md"
WIDTH = 96

HEAD = """\
# The command line

Written from the commands' own help by `tools/cli_docs.py`; do not edit.

The result of a command goes to stdout, progress to stderr: in a terminal as one block that stays
in place, elsewhere (in a pipe, under `CI`, with `TERM=dumb`) as plain lines. Colours follow
`NO_COLOR`. Nothing ever prompts. Shell completion is click's:
`eval "$(_ATTAIN_COMPLETE=bash_source attain)"` (or `zsh_source`, `fish_source`).

## Exit codes

| code | meaning |
|---|---|
| 0 | every objective is met, or the command did what it was asked |
| 1 | a bug in attain; the message names the file with the traceback |
| 2 | wrong use, or input that cannot be used |
| 3 | ran well, an objective is not met |
| 4 | ran well, the sealed rows are too few to decide |
| 5 | the data audit found what would make the result worthless |
| 6 | the seal refused a look at the test rows |
| 7 | interrupted; the same command continues |
| 8 | the environment: memory, disk, permissions, a missing package, a ledger in use |

## JSON

With `--json` every command prints exactly one JSON object on one line of stdout. Its first keys
are the same everywhere:

| key | value |
|---|---|
| `schema` | `attain/1`; a number goes up when a key changes its meaning or is removed |
| `command` | the command's name, empty when none was recognised |
| `exit` | the exit code |
| `error` | only after a failure: `kind`, `problems` (each: `rule`, `value`, `place`, `remedy`) |

The others are the command's own:

| command | keys |
|---|---|
| `init` | `study_file`, `study` |
| `plan` | `study_file`, `plan` |
| `audit` | `dataset`, `findings`; with `--fix`: `repairs`, `file` |
| `run`, `test` | `verdict`, `objectives`, `looks`, `folder`, `report`, `card`, `model` |
| `watch` | `address` (at the start) |
| `report` | `folder`, `report` (the same object as `report.json`) |
| `predict` | `rows`, and `predictions` or `out` |
| `export` | `to`, `format` |
| `serve` | `address` (at the start) |
| `doctor` | `diagnostics` |

Numbers that are not finite are the strings `NaN`, `Infinity` and `-Infinity`.
"""


def page() -> str:
    """The whole page."""
    parts = [HEAD, _section(cli, None, "attain")]
    with click.Context(cli, info_name="attain", **cli.context_settings) as above:
        for name in VERBS:
            command = cli.get_command(above, name)
            assert command is not None, name
            parts.append(_section(command, above, f"attain {name}"))
    return "\n".join(parts)


def _section(command: click.Command, above: click.Context | None, title: str) -> str:
    context = click.Context(
        command,
        parent=above,
        info_name=title.rpartition(" ")[2],
        terminal_width=WIDTH,
        help_option_names=cli.context_settings["help_option_names"],
    )
    return f"## {title}\n\n```text\n{command.get_help(context)}\n```\n"


def main(arguments: list[str]) -> int:
    """Write the page, or check it."""
    text = page()
    if "--check" in arguments:
        if FILE.exists() and FILE.read_text(encoding="utf-8") == text:
            return 0
        print(f"{FILE.relative_to(ROOT)} is stale; write it with: python tools/cli_docs.py")
        return 1
    FILE.write_text(text, encoding="utf-8")
    print(f"{FILE.relative_to(ROOT)} is written")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

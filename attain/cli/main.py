"""``attain``: one group of commands; each is loaded when it is asked for.

Nothing here may import more than click, so that ``attain --help`` answers at once.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence

import click

from attain._version import __version__
from attain.cli.call import HELP_OPTIONS, VERBS, Call


class Verbs(click.Group):
    """The commands, in the order in which a user meets them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names of all commands."""
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of this name, imported now."""
        if cmd_name not in VERBS:
            return None
        name = {"import": "import_"}.get(cmd_name, cmd_name)
        module = importlib.import_module(f"attain.cli.commands.{name}")
        command: click.Command = module.command
        return command


@click.group(cls=Verbs, context_settings=HELP_OPTIONS, no_args_is_help=True)
@click.version_option(__version__, prog_name="attain", message="%(prog)s %(version)s")
@click.pass_context
def cli(ctx: click.Context) -> None:
    """Say what good means; attain gets a model there, and proves it.

    \b
    attain init data.csv --target label   write a study file
    attain plan                           see what would happen
    attain run                            tune, validate, test once, report

    The result goes to stdout, progress to stderr. Every command takes --json.

    \b
    Exit codes: 0 objectives met (or done), 1 internal error, 2 usage or bad input,
    3 not met, 4 not decidable with so few rows, 5 blocked by the data audit,
    6 refused by the seal, 7 interrupted (run again to continue), 8 environment.
    """
    ctx.ensure_object(Call).command = ctx.invoked_subcommand or ""


def main(args: Sequence[str] | None = None) -> None:
    """Run the command line and leave the process with its exit code.

    Args:
        args: Arguments without the program's name; those of the process by default.

    Raises:
        SystemExit: Always, with a member of `core.errors.Exit`.
    """
    args = sys.argv[1:] if args is None else list(args)
    call = Call(arguments=tuple(args))
    try:
        code = cli.main(args, prog_name="attain", standalone_mode=False, obj=call)
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - a user never sees a traceback
        from attain.cli.failures import tell

        code = tell(error, call)
    sys.exit(int(code or 0))

"""The command line: one module per command, imported only when it is called."""

from __future__ import annotations

import errno
import importlib
import keyword
import os
import signal
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

import click

from echoaudit import __version__
from echoaudit.errors import EchoauditError, ExitCode

COMMANDS = {
    "plan": "Power and cost of a study before it runs.",
    "run": "Run a study: speak, capture, crawl, conclude, report; resumes.",
    "import": "Bring others' evidence in: pcap, Pi-hole, mitmproxy, HAR, OpenWPM, interests.",
    "replay": "Compute findings and report again from a recording.",
    "report": "Write the report of a recording.",
    "table": "Print a table of findings: endpoints, shares, bids and others.",
    "diff": "Compare two recordings: before and after a change.",
    "check": "Hold a recording's findings against rules of your own.",
    "skills": "Catalogues of skills: list, show, lint, import from a store.",
    "sites": "Find which sites of a list run header bidding.",
    "lists": "Install lists of trackers, to be named in findings.",
    "status": "Show how far a recording is.",
    "verify": "Check that a recording's evidence is whole.",
    "voice": "List sound devices, speak a sentence, find out how loud to speak.",
    "profiles": "Browser profiles: as the run left them? Go back to a snapshot.",
    "login": "Sign an account in by hand, once, in a visible browser.",
    "gateway": "Keep the speakers' network up between runs.",
    "doctor": "Check what this machine has and needs.",
    "lab": "The embedded lab: score a recording against its world.",
}


_FREE = "free disk space, then run the same command"
_OTHER = "name another file or folder"
_WRITABLE = "make it writable, or name another folder"
PATH_FAULTS = {
    errno.ENOENT: _OTHER,
    errno.ENOTDIR: _OTHER,
    errno.EISDIR: _OTHER,
    errno.EEXIST: _OTHER,
    errno.ENAMETOOLONG: _OTHER,
    errno.ELOOP: _OTHER,
}
"""Errors of the system that a path as the user wrote it leads to, and what mends each."""
MENDS = {
    **PATH_FAULTS,
    errno.ENOSPC: _FREE,
    errno.EDQUOT: _FREE,
    errno.EROFS: _WRITABLE,
    errno.EACCES: _WRITABLE,
    errno.EPERM: _WRITABLE,
}
"""Errors of the system that a user can mend; all others are faults of the program."""


class LazyGroup(click.Group):
    """A group whose commands are imported when they are called, so that help is instant."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Name the commands in the order a study meets them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the module of one command."""
        if cmd_name not in COMMANDS:
            return None
        name = f"{cmd_name}_" if keyword.iskeyword(cmd_name) else cmd_name
        module = importlib.import_module(f"echoaudit.cli.{name}")
        command = module.command
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing any."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"]},
    invoke_without_command=True,
)
@click.version_option(__version__, prog_name="echoaudit")
@click.pass_context
def group(context: click.Context) -> None:
    """Audit ad tracking by smart speakers.

    Speaks a persona's skills to an Echo, captures its traffic, crawls the web with the
    persona's browser and reports who received what and what it changed.

    \b
    Exit codes: 0 done; 1 a check failed; 2 bad input; 3 this machine lacks something;
    130 stopped by the user (the same command resumes).
    """
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and exit; expected errors end in one line on standard error."""
    # Asked to end, a command cleans up behind itself as it does after Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        result: Any = group.main(
            args=list(arguments) if arguments is not None else None, standalone_mode=False
        )
        sys.stdout.flush()
    except click.ClickException as mistake:
        context = getattr(mistake, "ctx", None)
        hint = f" (see {context.command_path} --help)" if context is not None else ""
        _fail(mistake.format_message() + hint, ExitCode.BAD_INPUT)
    except EchoauditError as error:
        _fail(str(error), error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        click.echo("echoaudit: stopped at once; the same command resumes", err=True)
        # Steps may still be under way in threads that would keep a normal exit waiting.
        os._exit(ExitCode.INTERRUPTED)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(ExitCode.OK)
    except OSError as error:
        if error.errno not in MENDS:
            raise
        where = f"{error.filename}: " if error.filename else ""
        code = ExitCode.BAD_INPUT if error.errno in PATH_FAULTS else ExitCode.UNAVAILABLE
        # Not the error's own words: libraries put whole sentences there.
        reason = os.strerror(error.errno).lower()
        _fail(f"{where}{reason}; fix: {MENDS[error.errno]}", code)
    sys.exit(result if isinstance(result, int) else ExitCode.OK)


def _fail(message: str, code: ExitCode) -> NoReturn:
    click.secho(
        f"echoaudit: {' '.join(message.split())}",
        err=True,
        fg="red" if sys.stderr.isatty() else None,
    )
    sys.exit(code)

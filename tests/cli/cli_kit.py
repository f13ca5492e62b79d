"""A stranger's working directory, and the real command in it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import echoaudit.lab.startup
import echoaudit.recording
import echoaudit.study  # noqa: F401  (all loaded once for every fork)
from echoaudit.cli import main
from echoaudit.errors import ExitCode

ROOT = Path(__file__).parents[2]
GOLDEN = ROOT / "tests" / "golden" / "recording"
PATIENCE = 240
"""Seconds that a command may take on a busy machine."""


@dataclass(frozen=True)
class Said:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def line(self) -> str:
        """The one line on standard error."""
        assert "Traceback" not in self.err
        lines = self.err.splitlines()
        assert len(lines) == 1, self.err
        assert lines[0].startswith("echoaudit: ")
        return lines[0]

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@dataclass(frozen=True)
class Stranger:
    folder: Path

    def command(self, *arguments: str, env: Mapping[str, str] | None = None) -> Said:
        done = subprocess.run(
            [sys.executable, "-m", "echoaudit", *arguments],
            cwd=self.folder, capture_output=True, text=True, timeout=PATIENCE, check=False,
            env={**os.environ, **(env or {})},
        )  # fmt: skip
        return Said(done.returncode, done.stdout, done.stderr)

    def in_fork(self, *arguments: str) -> Said:
        """Give a command in a fork of this process, which need not load the program again."""
        with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
            child = os.fork()
            if child == 0:
                _become(arguments, self.folder, out.fileno(), err.fileno())
            code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
            for file in (out, err):
                file.seek(0)
            return Said(code, out.read(), err.read())

    def refused(self, *arguments: str, code: ExitCode = ExitCode.BAD_INPUT) -> str:
        """The line of a command that fails, once it is sure that it wrote nothing."""
        before = self.files()
        said = self.in_fork(*arguments)
        assert said.code == code, (said.code, said.err, said.out)
        assert said.out == ""
        assert self.files() == before
        return said.line

    def files(self) -> dict[str, int]:
        return {
            str(p.relative_to(self.folder)): p.lstat().st_mtime_ns for p in self.folder.rglob("*")
        }

    def write(self, name: str, content: str | bytes) -> str:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return name

    def recording(self, name: str = "recording") -> Path:
        """A copy of the small recorded lab run, to be damaged at will."""
        return Path(shutil.copytree(GOLDEN, self.folder / name))

    def shell(self, line: str) -> Said:
        """A line of bash in which ``$0`` is the interpreter."""
        done = subprocess.run(
            ["bash", "-c", line, sys.executable],
            cwd=self.folder, capture_output=True, text=True, timeout=PATIENCE, check=False,
        )  # fmt: skip
        return Said(done.returncode, done.stdout, done.stderr)


def _become(arguments: tuple[str, ...], folder: Path, out: int, err: int) -> NoReturn:
    code: Any = 70
    try:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(PATIENCE)
        os.dup2(out, 1)
        os.dup2(err, 2)
        sys.stdout, sys.stderr = (os.fdopen(number, "w", closefd=False) for number in (1, 2))
        sys.argv = ["echoaudit", *arguments]
        os.chdir(folder)
        main()
    except SystemExit as end:
        code = end.code
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)

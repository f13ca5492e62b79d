"""Puts the machine back when a gateway is killed: ``python -P guardian.py PIDFD``.

A program of its own, in a session of its own, so that what kills the gateway (``kill -9``, the
kernel when memory is short, a closed terminal) does not reach it. It waits for the end of one
process, by that process's descriptor, and loads nothing before: no number is used that another
process could have by then.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def watched(log: Path) -> Iterator[None]:
    """While inside, this process's death by whatever means has its gateway's traces removed."""
    me = os.pidfd_open(os.getpid())
    try:
        with log.open("ab") as messages:
            # -P: the folder of this file is not a place to import from.
            guardian = subprocess.Popen(
                [sys.executable, "-P", __file__, str(me)],
                pass_fds=(me,),
                stdin=subprocess.DEVNULL,
                stdout=messages,
                stderr=messages,
                start_new_session=True,
                cwd="/",
            )
    finally:
        os.close(me)
    try:
        yield
    finally:
        guardian.kill()
        guardian.wait()


def main(process: int) -> None:
    """Wait until the process has ended; unless there is another gateway by then, clear up."""
    # Whoever ends a whole group means the gateway, which then clears up by itself.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    select.select([process], [], [])
    from echoaudit.errors import Unavailable
    from echoaudit.instruments.gateway import restoring, seat

    try:
        # With the seat taken nobody becomes the gateway meanwhile. One that already is has cleared
        # up before it began, and its rules are not touched.
        with seat.keep_free():
            restoring.clear()
    except Unavailable as error:
        print(error)


if __name__ == "__main__":
    main(int(sys.argv[1]))

"""``python -m echoaudit``."""

import sys

from echoaudit.errors import ExitCode

if __name__ == "__main__":
    try:
        from echoaudit.cli import main
    except KeyboardInterrupt:
        # Ctrl-C reaches a run on the lab's machine while its modules are still being loaded.
        print("\nechoaudit: stopped at once; the same command resumes", file=sys.stderr)
        sys.exit(ExitCode.INTERRUPTED)
    main()

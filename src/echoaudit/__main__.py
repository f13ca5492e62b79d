"""``python -m echoaudit``."""

from echoaudit.cli import main

main()

"""Whose browser it was, where the platform never knew: by the cookies that a recording kept.

The cloud logs which cookie a party saw. Only the score, which has both the log and the recording,
can tell whose that is; no bidder profits from it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from echoaudit.lab.score import Row

Browsers = Mapping[str, str]
"""Accounts by a party's identifier of their browser."""


def browsers(cookies: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Whose each cookie value is, from (account, value) pairs; values of several tell nothing."""
    owners: dict[str, set[str]] = {}
    for account, value in cookies:
        owners.setdefault(value, set()).add(account)
    return {value: min(accounts) for value, accounts in owners.items() if len(accounts) == 1}


def also_by_view(known: Browsers, syncs: Iterable[Row]) -> dict[str, str]:
    """Identifiers that the browser lost again, too: others of the same page view are known.

    A party that is asked twice at once by a new browser gives it two identifiers; one stays.
    """
    rows = [row for row in syncs if row.get("view")]
    views = {row["view"]: known[row["browser"]] for row in rows if row["browser"] in known}
    lost = {row["browser"]: views[row["view"]] for row in rows if row["view"] in views}
    return {**lost, **known}


def with_accounts(log: Iterable[Row], known: Browsers) -> Iterator[Row]:
    """The log's rows, with the account of a browser that nobody was signed in with."""
    for row in log:
        if row["account"] is None:
            yield {**row, "account": known.get(str(row.get("browser")))}
        else:
            yield row

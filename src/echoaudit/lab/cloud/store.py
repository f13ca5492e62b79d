"""What the cloud remembers, in SQLite: it may be killed at any moment and goes on."""

from __future__ import annotations

import sqlite3
from pathlib import Path

_TABLES = """
CREATE TABLE IF NOT EXISTS enabled (account TEXT, skill TEXT, PRIMARY KEY (account, skill));
CREATE TABLE IF NOT EXISTS profile
  (account TEXT, interest TEXT, heard INTEGER, PRIMARY KEY (account, interest));
CREATE TABLE IF NOT EXISTS opted_out (account TEXT PRIMARY KEY);
CREATE TABLE IF NOT EXISTS noted
  (party TEXT, uid TEXT, interest TEXT, PRIMARY KEY (party, uid, interest));
CREATE TABLE IF NOT EXISTS sessions (token TEXT PRIMARY KEY, account TEXT);
CREATE TABLE IF NOT EXISTS tickets (ticket TEXT PRIMARY KEY, account TEXT);
CREATE TABLE IF NOT EXISTS ads_ids (ads_id TEXT PRIMARY KEY, account TEXT);
CREATE TABLE IF NOT EXISTS matches
  (party TEXT, value TEXT, ads_id TEXT, PRIMARY KEY (party, value));
CREATE TABLE IF NOT EXISTS views (view TEXT PRIMARY KEY, account TEXT);
CREATE TABLE IF NOT EXISTS browsers
  (party TEXT, uid TEXT, account TEXT, PRIMARY KEY (party, uid));
CREATE TABLE IF NOT EXISTS auctions (cell TEXT PRIMARY KEY, held INTEGER);
"""


class Store:
    """Accounts' profiles, sign-ins, cookie matches and counters.

    ``views`` and ``browsers`` say which account a browser truly belongs to. They serve the truth
    logs and the noise of accounts only: what a party knows comes from ``matches``.
    """

    def __init__(self, path: Path) -> None:
        self._db = sqlite3.connect(path, isolation_level=None)
        self._db.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;" + _TABLES)

    # --- skills and interests ---------------------------------------------------------------

    def set_enabled(self, account: str, skill: str, enabled: bool) -> None:
        """Enable or disable a skill."""
        if enabled:
            self._run("INSERT OR IGNORE INTO enabled VALUES (?, ?)", account, skill)
        else:
            self._run("DELETE FROM enabled WHERE account = ? AND skill = ?", account, skill)

    def is_enabled(self, account: str, skill: str) -> bool:
        """Whether the account has the skill enabled."""
        row = self._one("SELECT 1 FROM enabled WHERE account = ? AND skill = ?", account, skill)
        return row is not None

    def add_interest(self, account: str, interest: str) -> None:
        """The platform heard something of this interest."""
        self._run(
            "INSERT INTO profile VALUES (?, ?, 1)"
            " ON CONFLICT (account, interest) DO UPDATE SET heard = heard + 1",
            account,
            interest,
        )

    def interests(self, account: str) -> list[str]:
        """Interests of the account's profile, in alphabetical order."""
        query = "SELECT interest FROM profile WHERE account = ? ORDER BY interest"
        return [str(row[0]) for row in self._db.execute(query, (account,))]

    def opt_out(self, account: str) -> None:
        """The account wants no ads by its interests."""
        self._run("INSERT OR IGNORE INTO opted_out VALUES (?)", account)

    def opted_out(self, account: str) -> bool:
        """Whether the account wants no ads by its interests."""
        return self._one("SELECT 1 FROM opted_out WHERE account = ?", account) is not None

    def note(self, party: str, uid: str, interest: str) -> None:
        """``party`` saw its browser ``uid`` on a site of ``interest``."""
        self._run("INSERT OR IGNORE INTO noted VALUES (?, ?, ?)", party, uid, interest)

    def noted(self, party: str, uid: str) -> list[str]:
        """Interests that ``party`` has seen of its browser ``uid``, in alphabetical order."""
        query = "SELECT interest FROM noted WHERE party = ? AND uid = ? ORDER BY interest"
        return [str(row[0]) for row in self._db.execute(query, (party, uid))]

    # --- sign-in ----------------------------------------------------------------------------

    def add_session(self, token: str, account: str) -> None:
        """A browser signed in and got ``token`` as its cookie."""
        self._run("INSERT OR REPLACE INTO sessions VALUES (?, ?)", token, account)

    def session(self, token: str) -> str | None:
        """The account that is signed in with ``token``."""
        return self._text("SELECT account FROM sessions WHERE token = ?", token)

    def add_ticket(self, ticket: str, account: str) -> None:
        """A word that the advertising host takes once, to know the account."""
        self._run("INSERT INTO tickets VALUES (?, ?)", ticket, account)

    def take_ticket(self, ticket: str) -> str | None:
        """The account of a ticket, which is then used up."""
        return self._text("DELETE FROM tickets WHERE ticket = ? RETURNING account", ticket)

    def set_ads_id(self, ads_id: str, account: str) -> None:
        """The advertising cookie ``ads_id`` belongs to ``account``."""
        self._run("INSERT OR REPLACE INTO ads_ids VALUES (?, ?)", ads_id, account)

    def ads_account(self, ads_id: str) -> str | None:
        """The account behind an advertising cookie."""
        return self._text("SELECT account FROM ads_ids WHERE ads_id = ?", ads_id)

    # --- cookie syncs -----------------------------------------------------------------------

    def match(self, party: str, value: str, ads_id: str) -> None:
        """The platform learns that its browser ``ads_id`` is ``value`` to ``party``."""
        self._run("INSERT OR REPLACE INTO matches VALUES (?, ?, ?)", party, value, ads_id)

    def matched_account(self, party: str, value: str) -> str | None:
        """The account that the platform knows ``party``'s ``value`` to be."""
        return self._text(
            "SELECT account FROM matches JOIN ads_ids USING (ads_id) WHERE party = ? AND value = ?",
            party,
            value,
        )

    # --- what only the lab knows ------------------------------------------------------------

    def set_view(self, view: str, account: str) -> None:
        """A page view was made by the browser of ``account``."""
        self._run("INSERT OR IGNORE INTO views VALUES (?, ?)", view, account)

    def view_account(self, view: str) -> str | None:
        """Whose browser made a page view."""
        return self._text("SELECT account FROM views WHERE view = ?", view)

    def set_browser(self, party: str, uid: str, account: str) -> None:
        """``party``'s cookie ``uid`` is in the browser of ``account``."""
        self._run("INSERT OR IGNORE INTO browsers VALUES (?, ?, ?)", party, uid, account)

    def browser_account(self, party: str, uid: str) -> str | None:
        """Whose browser holds ``party``'s cookie ``uid``."""
        return self._text("SELECT account FROM browsers WHERE party = ? AND uid = ?", party, uid)

    def next_auction(self, cell: str) -> int:
        """How often ``cell`` was asked for before; counts this time."""
        row = self._one(
            "INSERT INTO auctions VALUES (?, 1)"
            " ON CONFLICT (cell) DO UPDATE SET held = held + 1 RETURNING held",
            cell,
        )
        if row is None:
            raise RuntimeError("SQLite returned no counter")
        return int(str(row[0])) - 1

    def _run(self, query: str, *values: object) -> None:
        self._db.execute(query, values)

    def _one(self, query: str, *values: object) -> tuple[object, ...] | None:
        # RETURNING takes effect only when the rows are read to the end.
        rows = self._db.execute(query, values).fetchall()
        return rows[0] if rows else None

    def _text(self, query: str, *values: object) -> str | None:
        row = self._one(query, *values)
        return None if row is None or row[0] is None else str(row[0])

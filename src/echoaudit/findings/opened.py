"""A recording as a Python session has it: tables and conclusions as attributes."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from echoaudit import findings, outcomes
from echoaudit.findings import tables as registry
from echoaudit.recording import Recording

if TYPE_CHECKING:
    import pandas as pd

    from echoaudit.findings import Findings
    from echoaudit.inference import Conclusion
    from echoaudit.outcomes.schema import Schema


class Opened:
    """The facts and conclusions of one recording, computed when first asked for.

    Every table of ``docs/outcomes.md`` and ``docs/report.md`` is an attribute, a data frame of
    its own that can be changed at will. What the columns mean is told by :meth:`schema`, and
    stands in ``frame.attrs``: ``description``, and ``columns``, a text for each name.

    Nothing is written, and the user's own block lists are not asked: what one recording gives is
    the same everywhere.
    """

    if TYPE_CHECKING:
        # For editors and type checkers; a test holds these against the tables there are.
        endpoints: pd.DataFrame
        captures: pd.DataFrame
        data_types: pd.DataFrame
        decrypted: pd.DataFrame
        utterances: pd.DataFrame
        enabling: pd.DataFrame
        bids: pd.DataFrame
        syncs: pd.DataFrame
        web_contacts: pd.DataFrame
        cookies: pd.DataFrame
        ads: pd.DataFrame
        audio_segments: pd.DataFrame
        data_requests: pd.DataFrame
        interests: pd.DataFrame
        steps: pd.DataFrame
        audio_ads: pd.DataFrame
        creatives: pd.DataFrame
        ad_creatives: pd.DataFrame
        ad_channels: pd.DataFrame
        bid_rate: pd.DataFrame
        sync_graph: pd.DataFrame
        partner_bids: pd.DataFrame
        parties: pd.DataFrame
        delivery: pd.DataFrame
        attribution: pd.DataFrame
        shares: pd.DataFrame
        ad_counts: pd.DataFrame
        reach: pd.DataFrame
        excluded: pd.DataFrame
        imc2023: pd.DataFrame
        flows: pd.DataFrame
        names: pd.DataFrame

    def __init__(self, folder: Path | str) -> None:
        self.recording = Recording.open(Path(folder))
        """The evidence itself."""
        self._labels = findings.kept_labels(self.recording)
        self._known: dict[str, pd.DataFrame] = {}
        self._details: dict[str, pd.DataFrame] = {}

    def __getattr__(self, name: str) -> pd.DataFrame:
        schemas = _schemas()
        if name not in schemas:
            raise AttributeError(
                f"a recording has no {name!r}; tables: {', '.join(sorted(schemas))}"
            )
        frame = self._table(name).copy()
        frame.attrs = {
            "description": schemas[name].description,
            "columns": {column.name: _meaning(column) for column in schemas[name].columns},
        }
        return frame

    def _table(self, name: str) -> pd.DataFrame:
        if name in registry.details():
            # Apart from the others: what is known is what findings are made of.
            if name not in self._details:
                self._details[name] = outcomes.load(name).derive(self.recording)
            return self._details[name]
        self._known = registry.tables(self.recording, [name], self._labels, self._known)
        return self._known[name]

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *_schemas()})

    def __repr__(self) -> str:
        return f"echoaudit.open({str(self.recording.folder)!r})"

    @property
    def tables(self) -> dict[str, str]:
        """What each table has, by its name."""
        return {name: schema.description for name, schema in _schemas().items()}

    def schema(self, name: str) -> Schema:
        """A table's columns with types, units and meanings; ``KeyError`` when there is no such."""
        return _schemas()[name]

    @property
    def conclusions(self) -> tuple[Conclusion, ...]:
        """One per claim of the study, in its order."""
        return self._found.conclusions

    @property
    def warnings(self) -> tuple[str, ...]:
        """What to know before believing anything, worst first."""
        return self._found.warnings

    @property
    def study(self) -> dict[str, Any]:
        """The study as it was registered: personas, claims, sites."""
        return dict(self.recording.study)

    def report(self, path: Path | str, methods: tuple[str, ...] = ()) -> Path:
        """Write the report to a file and return its path; ``methods`` as in ``--method``."""
        findings.write_report(self.recording, self._found, Path(path), methods)
        return Path(path)

    @cached_property
    def _found(self) -> Findings:
        return findings.compute(
            self.recording,
            labels=self._labels,
            known=self._known,
            later=findings.kept_claims(self.recording),
        )


def _schemas() -> dict[str, Schema]:
    return registry.schemas() | registry.details()


def _meaning(column: Any) -> str:
    return f"{column.description} [{column.unit}]" if column.unit else str(column.description)

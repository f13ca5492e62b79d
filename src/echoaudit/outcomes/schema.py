"""Declared tables: what an outcome's columns are, and the one way rows become a table.

Two derivations of the same evidence must be the same table byte for byte, so a schema fixes the
columns' order and types, and ``conform`` sorts the rows: their order is never information.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import pandas as pd

DType = Literal["string", "int", "float", "bool"]

_PANDAS: dict[DType, Any] = {
    "string": "string",
    "int": "Int64",
    "float": "float64",
    "bool": "boolean",
}


@dataclass(frozen=True)
class Column:
    """One column: ``unit`` is of the value ("bytes", "s since 1970", "USD per 1000")."""

    name: str
    dtype: DType
    description: str
    unit: str | None = None


@dataclass(frozen=True)
class Schema:
    """A table's columns, in order; the first ones should tell rows apart, for they sort first."""

    name: str
    description: str
    columns: tuple[Column, ...]

    @property
    def names(self) -> list[str]:
        """The columns' names, in order."""
        return [column.name for column in self.columns]

    def markdown(self) -> str:
        """The columns as a Markdown table, for the documentation."""
        rows = [
            f"| `{column.name}` | {column.dtype} | {column.unit or ''} | {column.description} |"
            for column in self.columns
        ]
        return "\n".join(["| column | type | unit | meaning |", "|---|---|---|---|", *rows])

    def empty(self) -> pd.DataFrame:
        """The table without rows, each column with its type."""
        return self.conform([])

    def conform(self, rows: Iterable[Mapping[str, Any]] | pd.DataFrame) -> pd.DataFrame:
        """Rows as this schema's table: columns in order and cast, rows sorted, index 0…n-1.

        Missing values are ``None``, ``pandas.NA`` or NaN. Raises ``ValueError`` when a column is
        missing or unknown, or a value does not have the column's type.
        """
        import pandas as pd

        frame = rows if isinstance(rows, pd.DataFrame) else _frame(list(rows), self.names)
        self._check(list(frame.columns))
        series = {column.name: self._cast(frame[column.name], column) for column in self.columns}
        return in_order(pd.DataFrame(series, columns=self.names))

    def _check(self, found: list[Any]) -> None:
        missing = [name for name in self.names if name not in found]
        unknown = [str(name) for name in found if name not in self.names]
        if missing or unknown:
            raise ValueError(f"table {self.name}: columns missing {missing}, unknown {unknown}")

    def _cast(self, values: pd.Series[Any], column: Column) -> pd.Series[Any]:
        try:
            cast: pd.Series[Any] = values.astype(_PANDAS[column.dtype])
        except (TypeError, ValueError) as error:
            raise ValueError(
                f"table {self.name}, column {column.name}: not all {column.dtype}: {error}"
            ) from error
        return cast


def in_order(table: pd.DataFrame) -> pd.DataFrame:
    """The table sorted by all its columns from left to right, with a fresh index."""
    if table.empty:
        return table.reset_index(drop=True)
    ordered = table.sort_values(list(table.columns), kind="stable", na_position="last")
    return ordered.reset_index(drop=True)


def _frame(rows: list[Mapping[str, Any]], names: list[str]) -> pd.DataFrame:
    """Rows side by side; a column that any row lacks is left out, so that it is found missing."""
    import pandas as pd

    keys = list(dict.fromkeys(key for row in rows for key in row)) if rows else names
    shared = [key for key in keys if key not in names or all(key in row for row in rows)]
    return pd.DataFrame(
        {key: pd.Series([row.get(key) for row in rows], dtype=object) for key in shared}
    )

"""``python -m echoaudit.study`` renews what is made from the models, from the project's folder.

The JSON Schemas in ``configs/schemas`` and the tables of keys in ``docs/study.md``.
"""

from pathlib import Path

from echoaudit.study.reference import filled
from echoaudit.study.schemas import schemas, written

SCHEMAS = Path("configs/schemas")
DOCS = Path("docs/study.md")


def main() -> None:
    """Write every schema and every table."""
    SCHEMAS.mkdir(parents=True, exist_ok=True)
    for name, schema in schemas().items():
        (SCHEMAS / f"{name}.schema.json").write_text(written(schema), encoding="utf-8")
    DOCS.write_text(filled(DOCS.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()

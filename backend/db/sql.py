"""Prepared statements for the queries that every request or every run waits for.

The ORM takes longer to compose such a statement than PostgreSQL to execute it, and composes it anew each time. Models
stay the only place that defines columns: a statement names them through ``Columns``, which turns rows into instances.
"""

from collections.abc import Sequence
from functools import cached_property
from typing import Any, Generic, TypeVar

import psycopg
from django.db import connection, models
from django.db.backends.utils import CursorWrapper

M = TypeVar("M", bound=models.Model)


class _PreparingCursor(psycopg.Cursor[tuple[Any, ...]]):
    def execute(self, query: Any, params: Any = None, **_: Any) -> "_PreparingCursor":
        return super().execute(query, params, prepare=True)


def rows(statement: str, parameters: Sequence[Any]) -> list[tuple[Any, ...]]:
    """The rows that the statement returns, in the transaction of Django's connection.

    Exceptions are those of ``django.db``. PostgreSQL plans the statement once per connection, unless DATABASE_PREPARED
    is off.
    """
    with _cursor() as cursor:
        cursor.execute(statement, parameters)
        found: list[tuple[Any, ...]] = cursor.fetchall()
        return found


def row(statement: str, parameters: Sequence[Any]) -> tuple[Any, ...] | None:
    """The first row; None if there is none."""
    found = rows(statement, parameters)
    return found[0] if found else None


def execute(statement: str, parameters: Sequence[Any]) -> None:
    """Execute a statement that returns no rows."""
    with _cursor() as cursor:
        cursor.execute(statement, parameters)


def _cursor() -> CursorWrapper:
    """As ``connection.cursor()``, but PostgreSQL receives the parameters apart from the statement."""
    connection.close_if_health_check_failed()
    connection.ensure_connection()
    with connection.wrap_database_errors:
        cursor: Any = _PreparingCursor(connection.connection)
    return connection.make_debug_cursor(cursor) if connection.queries_logged else connection.make_cursor(cursor)


class Columns(Generic[M]):
    """All columns of a model under an alias, for ``SELECT`` and ``INSERT``.

    >>> question = Columns(Message, "q")
    >>> found = sql.row(f"SELECT {question} FROM agents_message q WHERE q.id = %s", [id])
    >>> message = question.load(found)
    """

    def __init__(self, model: type[M], alias: str) -> None:
        self.model = model
        self.fields = model._meta.concrete_fields
        self._alias = alias
        self._names = [field.attname for field in self.fields]
        converters = ((place, getattr(field, "from_db_value", None)) for place, field in enumerate(self.fields))
        self._converters = [(place, convert) for place, convert in converters if convert is not None]

    def __str__(self) -> str:
        return ", ".join(f'{self._alias}."{field.column}"' for field in self.fields)

    def __len__(self) -> int:
        return len(self.fields)

    @property
    def table(self) -> str:
        return self.model._meta.db_table

    @cached_property
    def names(self) -> str:
        """For ``INSERT INTO table (…)``."""
        return ", ".join(f'"{field.column}"' for field in self.fields)

    @cached_property
    def places(self) -> str:
        """One typed placeholder for each of ``values``."""
        return ", ".join(f"%s::{_type_of(field)}" for field in self.fields)

    def values(self, instance: M) -> list[Any]:
        """The instance's values as parameters."""
        return [field.get_db_prep_save(getattr(instance, field.attname), connection) for field in self.fields]

    def load(self, row: Sequence[Any], *, start: int = 0) -> M:
        """The instance whose columns begin at ``start``."""
        values = list(row[start : start + len(self.fields)])
        for place, convert in self._converters:
            values[place] = convert(values[place], None, connection)
        return self.model.from_db(connection.alias, self._names, values)


def _type_of(field: "models.Field[Any, Any]") -> str:
    """The type to cast a parameter to. A cast to varchar(n) would truncate a text silently; ``text`` lets the column
    refuse a text that is too long."""
    kind = field.db_type(connection) or "text"
    return "text" if kind.startswith("varchar") else kind

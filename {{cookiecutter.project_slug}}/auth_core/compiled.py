"""Queries whose SQL is made once: for the few that every request or login needs.

Django takes longer to make the SQL of a query with joins or subqueries than PostgreSQL to answer it.
"""

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

from django.db import connections
from django.db.models import Expression, QuerySet


class Parameter(Expression):
    """Stands in a query for a value that differs from use to use, of a field's type."""

    def __init__(self, name: str, field: Any) -> None:
        super().__init__(output_field=field)
        self.name = name

    def as_sql(self, compiler: Any, connection: Any) -> tuple[str, Any]:
        return "%s", [self]


class CompiledQuery:
    """A query of one row at the most, with Parameters in it; built when first asked."""

    def __init__(self, build: Callable[[], QuerySet[Any]]) -> None:
        self._build = build

    @cached_property
    def _compiled(self) -> tuple[Any, str, Sequence[Any], Any]:
        # An order would cost time, and one row needs none.
        queryset = self._build().order_by()
        compiler: Any = queryset.query.get_compiler(using=queryset.db)
        sql, parameters = compiler.as_sql()
        return compiler, sql, parameters, compiler.get_converters([it[0] for it in compiler.select])

    def first(self, **values: Any) -> Any:
        """Ask the query with the parameters' values; return the object, with what was selected with it, or None."""
        row = self.row(**values)
        if row is None:
            return None
        compiler = self._compiled[0]
        made = _made(compiler.using, compiler.klass_info, compiler.select, row)
        for name, column in compiler.annotation_col_map.items():
            setattr(made, name, row[column])
        return made

    def row(self, **values: Any) -> Any:
        """Ask the query with the parameters' values; return the row, or None."""
        compiler, sql, parameters, converters = self._compiled
        connection = connections[compiler.using]
        filled = [
            it.output_field.get_db_prep_value(values[it.name], connection)
            if isinstance(it, Parameter)
            else it
            for it in parameters
        ]
        with connection.cursor() as cursor:
            cursor.execute(sql, filled)
            return next(iter(compiler.apply_converters(cursor.fetchall(), converters)), None)


def _made(alias: str, info: dict[str, Any], select: Sequence[Any], row: Any) -> Any:
    columns = info["select_fields"]
    names = [select[column][0].target.attname for column in columns]
    made = info["model"].from_db(alias, names, [row[column] for column in columns])
    for related in info.get("related_klass_infos", ()):
        related["local_setter"](made, _made(alias, related, select, row))
    return made

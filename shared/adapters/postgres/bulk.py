"""Many rows in one statement: columns travel as arrays, so the cost per row is small and the SQL always the same."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY, Insert, insert


def bulk_insert(table: sa.Table) -> Insert:
    """An INSERT of all columns of `table` from one array per column; give it `as_arrays(table, rows)`."""
    arrays = [sa.bindparam(column.name, type_=ARRAY(column.type)) for column in table.columns]
    arrived = (
        sa.func.unnest(*arrays)
        .table_valued(*[sa.column(column.name, column.type) for column in table.columns], name="arrived")
        .render_derived()
    )
    return insert(table).from_select([column.name for column in table.columns], sa.select(arrived))


def bulk_upsert(table: sa.Table) -> Insert:
    """Like `bulk_insert`; a row whose primary key is there replaces the other columns."""
    statement = bulk_insert(table)
    keys = list(table.primary_key.columns)
    replaced = {
        column.name: statement.excluded[column.name] for column in table.columns if not column.primary_key
    }
    return statement.on_conflict_do_update(index_elements=keys, set_=replaced)


def as_arrays(table: sa.Table, rows: Sequence[tuple]) -> dict[str, list]:
    """Parameters of the statements above; each row has a value for every column, in the table's order."""
    names = [column.name for column in table.columns]
    return dict(zip(names, map(list, zip(*rows, strict=True)), strict=True))

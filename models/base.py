"""What all tables share: column types, constraint names and ids."""

from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, Any, ClassVar
from uuid import UUID

from sqlalchemy import ARRAY, ColumnElement, DateTime, MetaData, Text, any_, literal
from sqlalchemy.dialects import postgresql
from sqlalchemy.orm import DeclarativeBase, mapped_column
from uuid_utils.compat import uuid7


def new_id() -> UUID:
    """Make a UUIDv7 (RFC 9562): its leading time keeps index inserts local; nothing is ever ordered by it."""
    return uuid7()


def among(column: Any, ids: Iterable[UUID]) -> ColumnElement[bool]:
    """Compare a column with ids passed as one array, so that any number of them is the same prepared statement."""
    return column == any_(literal(list(ids), ARRAY(postgresql.UUID(as_uuid=True))))  # type: ignore[no-any-return]


PrimaryId = Annotated[UUID, mapped_column(primary_key=True, default=new_id)]


class Base(DeclarativeBase):
    """Declarative base; constraints get predictable names, because services read violations by name."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map: ClassVar = {
        datetime: DateTime(timezone=True),
        str: Text(),
        UUID: postgresql.UUID(as_uuid=True),
    }

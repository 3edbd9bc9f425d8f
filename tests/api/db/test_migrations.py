"""Databases of every age become today's."""

import importlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from peewee import SqliteDatabase

from api.db.database import connect, migration_names
from api.db.models import TABLES, fold_name


def schema(database: SqliteDatabase) -> dict[str, Any]:
    """Columns and indexes of every table of ours."""
    return {
        table: (
            {
                (column.name, column.data_type, column.null, column.primary_key)
                for column in database.get_columns(table)
            },
            {(tuple(index.columns), index.unique) for index in database.get_indexes(table)},
        )
        for table in database.get_tables()
        if table != "schema_migration"
    }


def wanted() -> dict[str, Any]:
    """The schema of the models as they are."""
    database = SqliteDatabase(":memory:")
    with database.bind_ctx(TABLES):
        database.create_tables(TABLES)
        return schema(database)


def test_a_new_database_is_what_the_models_say(tmp_path: Path) -> None:
    database = connect(tmp_path / "new.sqlite")
    try:
        assert schema(database) == wanted()
    finally:
        database.close()


@pytest.mark.parametrize("step", range(len(migration_names())))
def test_every_older_schema_is_brought_up_and_keeps_its_rows(tmp_path: Path, step: int) -> None:
    file = tmp_path / "old.sqlite"
    old = SqliteDatabase(str(file))
    names = migration_names()
    old.execute_sql(
        "CREATE TABLE schema_migration (name VARCHAR(255) PRIMARY KEY, applied_at BIGINT NOT NULL)"
    )
    for name in names[: step + 1]:
        importlib.import_module(f"api.db.migrations.{name}").up(old)
        old.execute_sql("INSERT INTO schema_migration VALUES (?, 0)", (name,))
    old.execute_sql(
        "INSERT INTO tenant (id, create_time, update_time, name, llm_id, embd_id) VALUES ('t', 1, 1, 'Ada', '', '')"
    )
    old.close()
    database = connect(file)
    try:
        assert schema(database) == wanted()
        assert database.execute_sql("SELECT name FROM tenant").fetchall() == [("Ada",)]
    finally:
        database.close()


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=300))
def test_folding(name: str) -> None:
    folded = fold_name(name)
    assert len(folded) <= 255
    assert fold_name(folded) == folded or len(folded) == 255


def test_names_are_compared_without_case_and_accents() -> None:
    assert fold_name("Résumé") == fold_name("RESUME")
    assert fold_name("한국어") == "한국어"
    assert fold_name("\ufdfa" * 80 + "a") != fold_name("\ufdfa" * 80 + "b")

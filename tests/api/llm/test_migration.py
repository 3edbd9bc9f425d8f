"""A database of the first schema gets what the tenants' models need."""

from pathlib import Path

from api.clock import now_ms
from api.db import accounts, tenant_models
from api.db.database import connect
from api.db.models import Tenant, TenantModel


def test_an_old_database_is_brought_up_to_date(tmp_path: Path) -> None:
    file = tmp_path / "ragd.sqlite"
    connection = connect(file)
    user_id = accounts.insert_user("a@example.com", "a")
    connection.execute_sql("DROP TABLE tenant_model")
    for name in ("rerank_id", "asr_id", "img2txt_id", "tts_id"):
        connection.execute_sql(f"ALTER TABLE tenant DROP COLUMN {name}")
    connection.execute_sql("DELETE FROM schema_migration WHERE name > 'm0001_initial'")
    connection.close()

    connection = connect(file)
    tenant = Tenant.get_by_id(user_id)
    assert (tenant.rerank_id, tenant.asr_id, tenant.img2txt_id, tenant.tts_id) == ("", "", "", "")
    tenant_models.upsert_model(user_id, "Ollama", "chat", "qwen3", {"base_url": "http://localhost:11434"})
    tenant_models.set_defaults(user_id, {"tts_id": "mouth@Xinference"})
    assert Tenant.get_by_id(user_id).tts_id == "mouth@Xinference"
    (row,) = tenant_models.list_models(user_id)
    assert (row.name, row.is_enabled, row.used_tokens) == ("qwen3", True, 0)
    assert row.create_time <= now_ms()
    tenant_models.add_used_tokens({row.id: 5, "gone": 7})
    tenant_models.add_used_tokens({row.id: 6})
    assert TenantModel.get_by_id(row.id).used_tokens == 11
    connection.close()

"""The default models of the settings, looked at before anything depends on them."""

import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from api.settings import Settings
    from rag.models.factories import ModelKind

log = logging.getLogger(__name__)


def check_default_models(settings: "Settings", tenant_kinds: frozenset[str] = frozenset()) -> None:
    """Raises SettingsError when a default names a model that is not configured.

    tenant_kinds: kinds of which tenants have models of their own; these may be what is meant, or replace
    the default, so there it is only a warning.
    """
    from api.models_config import models_config
    from api.settings import SettingsError
    from rag.errors import ModelNotFound
    from rag.models.catalog import open_models

    catalog = open_models(models_config(settings))
    defaults: tuple[tuple[ModelKind, str], ...] = (
        ("chat", catalog.default_chat),
        ("embedding", catalog.default_embedding),
    )
    problems: list[str] = []
    for kind, model_id in defaults:
        try:
            catalog.find(kind, model_id)
        except ModelNotFound as error:
            known = ", ".join(info.id for info in catalog.list_models() if info.kind == kind)
            problem = f"models.default_{kind}: {error}. Name one of: {known}"
            if kind in tenant_kinds:
                log.warning("%s. Only tenants with a model of their own have one.", problem)
            else:
                problems.append(problem)
    if problems:
        raise SettingsError("\n".join(problems))

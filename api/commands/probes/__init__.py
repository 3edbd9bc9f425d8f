"""What `ragd check` tries."""

from api.commands.probes.folder import (
    probe_chunks,
    probe_database,
    probe_files,
    probe_folder,
    probe_secret,
)
from api.commands.probes.models import probe_models
from api.commands.probes.processes import probe_port, probe_workers
from api.commands.probes.result import Finding
from api.server import server_of
from api.settings import Settings

__all__ = ["probe_all"]


async def probe_all(settings: Settings) -> list[Finding]:
    """Every part, in the order in which a start needs them."""
    server = server_of(settings.data_dir)
    return [
        probe_folder(settings),
        probe_secret(settings),
        probe_database(settings),
        probe_files(settings),
        await probe_chunks(settings, server),
        *await probe_models(settings),
        await probe_port(settings, server),
        await probe_workers(settings),
    ]

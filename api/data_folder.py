"""What lies where in the data folder; server and workers read it from here."""

from pathlib import Path

from api.settings import Settings


def chunk_folder(settings: Settings) -> Path:
    """Chunks and their indexes."""
    return settings.data_dir / "chunks"


def database_file(settings: Settings) -> Path:
    """Rows."""
    return settings.data_dir / "ragd.sqlite"


def vector_cache_file(settings: Settings) -> Path:
    """Vectors of remote models; may be deleted while nothing runs."""
    return settings.data_dir / "vectors.sqlite"


def file_folder(settings: Settings) -> Path:
    """Uploaded files."""
    return settings.data_dir / "files"

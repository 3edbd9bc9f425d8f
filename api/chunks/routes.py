"""`/api/v1` routes of chunks."""

from quart import Blueprint

blueprint = Blueprint("chunks", __name__, url_prefix="/api/v1")

"""`/api/v1` routes of retrieval."""

from quart import Blueprint

blueprint = Blueprint("retrieval", __name__, url_prefix="/api/v1")

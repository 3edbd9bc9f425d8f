"""`/api/v1` routes of documents."""

from quart import Blueprint

blueprint = Blueprint("documents", __name__, url_prefix="/api/v1")

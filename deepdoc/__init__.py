"""Files to structured text: knows no chunks, no models, no server."""

"""Chunking, models, retrieval and answering: knows no HTTP, no tables, no queue."""

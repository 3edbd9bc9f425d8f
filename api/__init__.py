"""The server: HTTP, accounts, tables, tasks."""

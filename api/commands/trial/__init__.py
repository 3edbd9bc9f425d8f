"""What `ragd try` is made of: a throw-away server, a client that walks through the HTTP API, and its output."""

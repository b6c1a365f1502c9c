"""The API keys of clients: one each, with its own usage, limits and rotation."""

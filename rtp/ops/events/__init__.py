"""Send and replay events, and read their records and the raw archive."""

"""The dead-letter queue (DLQ): inspect it, redrive or purge its messages, undo a redrive or purge."""

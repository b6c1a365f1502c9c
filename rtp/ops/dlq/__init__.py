"""The dead-letter queue: looking, putting back, taking back."""

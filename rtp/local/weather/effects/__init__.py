"""The effects, one kind of behaviour a module."""

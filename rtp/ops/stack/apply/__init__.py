"""Preparing and executing a change set, following it to its end, and rolling it back."""

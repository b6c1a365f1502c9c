"""Output to the terminal: the only module that prints, and the layout of elements."""

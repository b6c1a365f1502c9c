"""What reaches a terminal: the one place that prints, and how elements are laid out."""

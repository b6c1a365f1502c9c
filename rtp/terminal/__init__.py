"""What reaches a terminal: the one place that prints, and how views are laid out."""

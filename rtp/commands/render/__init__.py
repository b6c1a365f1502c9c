"""How results look on a terminal and as HTML pages. Pure."""

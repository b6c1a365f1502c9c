"""Reading and writing text: times, JSON, sanitised strings, commands to paste, and the shapes that are drawn."""

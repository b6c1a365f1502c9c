"""What is wrong, since when, and since which release: failures in groups of one cause, and what is known of each."""

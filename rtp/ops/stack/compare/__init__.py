"""What a deploy would change: templates compared, replacements, widened permissions, and what needs approval."""

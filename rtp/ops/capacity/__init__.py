"""How many events a second a pipeline takes: limits of AWS and of the settings, latency, and cost a month."""

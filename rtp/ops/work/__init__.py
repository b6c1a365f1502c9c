"""Pools, polling, pauses and background threads. No other module of ops, commands or aws makes threads or sleeps."""

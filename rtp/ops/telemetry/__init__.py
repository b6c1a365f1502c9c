"""Logs, traces, alarms and status."""

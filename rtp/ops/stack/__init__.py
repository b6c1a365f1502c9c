"""Deploying, comparing and destroying the stack."""

"""Destroying a stack: drain, empty, delete, and an inventory before and after."""

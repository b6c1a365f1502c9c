"""Corrections of the engine, one module each; docs/patches.md lists them."""

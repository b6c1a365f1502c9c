"""Drills: faults on purpose, in an environment that is not protected."""

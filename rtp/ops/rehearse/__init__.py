"""Run archived events through the code of this folder, and compare with what their records hold."""

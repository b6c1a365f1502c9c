"""Changing the code of the functions without CloudFormation, and noticing that it was saved."""

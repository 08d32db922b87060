"""Argument parsers of the commands: options, their types and ranges, and error messages."""

"""Parsers of the commands: options, their types and ranges, and the messages about mistakes."""

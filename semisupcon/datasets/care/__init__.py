"""Checking, listing and downloading data sets."""

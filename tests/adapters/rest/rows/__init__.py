"""Tests of what a spec does with the rows of a page."""

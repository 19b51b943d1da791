"""Tests of the checks of a spec."""

"""Tests of jobs of an API."""

"""Benchmarks: the speed of Unify as ratios measured in one run on one machine (``make bench``)."""

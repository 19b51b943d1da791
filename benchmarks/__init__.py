"""How fast Unify is, as ratios measured in one run on one machine: ``make bench``."""

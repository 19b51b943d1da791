"""Former home of the daemon and its workers, kept for one release.

A daemon of an older version that is busy while Unify is upgraded starts its next worker by these names.
"""

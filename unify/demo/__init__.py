"""A sample API that answers as GitHub's does, for trying Unify without an account."""

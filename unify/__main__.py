"""``python -m unify`` is the ``unify`` command."""

from unify.cli.main import main

if __name__ == "__main__":
    raise SystemExit(main())

"""``python -m unify`` is the ``unify`` command."""

from unify.shell.app import main

if __name__ == "__main__":
    raise SystemExit(main())

"""Temporary files that a signal removes."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

_SCRIPT = """
import signal, sys
from pathlib import Path
from unify.fs.temporary_files import removed_at_termination
from unify.fs import temporary_files
file, folder, kept = (Path(word) for word in sys.argv[1:])
for path in (file, kept):
    path.write_text("x")
(folder / "inner").mkdir(parents=True)
with removed_at_termination(kept):
    pass
temporary_files.remove_at_termination(file)
with removed_at_termination(folder):
    signal.raise_signal(signal.SIGTERM)
"""


@pytest.mark.process
def test_a_signal_removes_what_is_temporary(tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("file", "folder", "kept")]
    done = subprocess.run([sys.executable, "-c", _SCRIPT, *map(str, paths)], timeout=60, check=False)

    assert done.returncode == -signal.SIGTERM
    assert [path.exists() for path in paths] == [False, False, True]

"""The folder of a run, taken by one process at a time."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Self

from harness.observations.journal import lock_folder


class HeldFolder:
    """A folder that is held until it is given back or the process ends; a context that gives it back."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._held: int | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Give the folder back."""
        if self._held is not None:
            os.close(self._held)
            self._held = None

    def take(self) -> bool:
        """Take the folder; False if another process has it."""
        self._held = lock_folder(self.folder)
        return self._held is not None

"""``python -m harness`` is the ``fidelity`` command."""

from harness.cli.main import main

main()

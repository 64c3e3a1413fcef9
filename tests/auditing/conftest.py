"""Tests that need a server which is not started here are collected where its address is given."""

from __future__ import annotations

import os

collect_ignore = [] if os.environ.get("FIDELITY_VLLM") else ["test_vllm.py"]

"""What keeps a hostile checkpoint in its box: a scrubbed environment, limits, and no network where the platform allows.

Loading weights is not supposed to run code of theirs, and twice in 2026 it did. So the process that opens them holds
no secrets and cannot call home. What was achieved is reported and stored with the run; it is never assumed.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import sys
from pathlib import Path

from harness.processors import waiting_passively

_KEPT = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "TZ", "LD_LIBRARY_PATH", "VIRTUAL_ENV")
_KEPT_PREFIXES = ("CUDA_", "OMP_", "GOMP_", "MKL_", "NVIDIA_", "KMP_", "ROCR_", "HIP_")
_QUIET = {
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "HF_DATASETS_OFFLINE": "1",
    "TRANSFORMERS_VERBOSITY": "error",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "TQDM_DISABLE": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "BITSANDBYTES_NOWELCOME": "1",
    "PYTHONWARNINGS": "ignore",
    "PYTHONNOUSERSITE": "1",
}
_CLONE_NEWUSER = 0x10000000
_CLONE_NEWNET = 0x40000000


def child_environment() -> dict[str, str]:
    """An allowlist of the parent's environment: no tokens, no keys, no proxies; hub access switched off; pools that sleep."""
    kept = {name: value for name, value in os.environ.items() if name in _KEPT or name.startswith(_KEPT_PREFIXES)}
    return waiting_passively(kept) | _QUIET


def isolate() -> dict[str, str]:
    """Drop what the child does not need, in the child, before it is asked anything; returns what was achieved."""
    for limit, value in ((resource.RLIMIT_CORE, 0), (resource.RLIMIT_FSIZE, 8 << 30)):
        _, hard = resource.getrlimit(limit)
        resource.setrlimit(limit, (value if hard == resource.RLIM_INFINITY else min(value, hard), hard))
    return {"environment": "allowlist", "core dumps": "off", "largest file": "8 GiB", "network": _without_network()}


def _without_network() -> str:
    if not sys.platform.startswith("linux"):
        return "reachable (this platform offers no namespaces)"
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_CLONE_NEWNET) == 0:
        return "cut off (network namespace)"
    uid, gid = os.getuid(), os.getgid()
    if libc.unshare(_CLONE_NEWUSER | _CLONE_NEWNET) == 0:
        with contextlib.suppress(OSError):
            Path("/proc/self/setgroups").write_text("deny")
            Path("/proc/self/uid_map").write_text(f"{uid} {uid} 1")
            Path("/proc/self/gid_map").write_text(f"{gid} {gid} 1")
        return "cut off (user and network namespace)"
    return "reachable (namespaces are not permitted here)"

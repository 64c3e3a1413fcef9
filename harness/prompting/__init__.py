"""The tokens-in check, told once per way of access: do two sides turn the same requests into the same prompts?

``files`` compares what lies on disk, ``served`` what an engine shows of itself, ``counts`` what a host bills;
``evidence`` is what the three share. No model is loaded.
"""

from harness.prompting.counts import probe_counts
from harness.prompting.files import compare_templates
from harness.prompting.served import Access, compare_endpoint

__all__ = ["Access", "compare_endpoint", "compare_templates", "probe_counts"]

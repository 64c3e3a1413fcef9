"""The tokens-in check, told once per way of access: do two sides turn the same requests into the same prompts?

``files`` compares what lies on disk, ``served`` what an engine shows of itself, ``counts`` what a host bills;
``evidence`` is what the three share. Only ``impact`` loads a model: it says what a difference costs.
"""

from harness.prompting.counts import probe_counts
from harness.prompting.files import compare_templates
from harness.prompting.impact import with_impact
from harness.prompting.served import Access, compare_endpoint

__all__ = ["Access", "compare_endpoint", "compare_templates", "probe_counts", "with_impact"]

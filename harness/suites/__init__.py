"""What is asked: versioned, hashed sets of items."""

from harness.suites.load import load_suite, suite_names
from harness.suites.model import Item, Message, Profile, Suite

__all__ = ["Item", "Message", "Profile", "Suite", "load_suite", "suite_names"]

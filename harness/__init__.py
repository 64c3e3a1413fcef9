"""fidelity-harness: is this thing the model it claims to be, what exactly differs, and how much does it matter?"""

__version__ = "0.1.0"

"""Judging by one's own bounds: policies and baselines from files, stored runs read again, baselines saved."""

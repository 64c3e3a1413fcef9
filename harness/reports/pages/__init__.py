"""Self-contained HTML pages: one file per kind of run, templates and style beside them; no network, everything escaped."""

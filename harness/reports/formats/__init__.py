"""The scorecard in the formats that other tools read; one file per format, a pure function each, nothing is uploaded."""

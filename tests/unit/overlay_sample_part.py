"""Not a test: see overlay_sample.py."""

STEP = 1

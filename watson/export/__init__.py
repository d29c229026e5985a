"""Exports: COCO and mask PNGs, and the static gallery."""

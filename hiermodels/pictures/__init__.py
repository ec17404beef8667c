"""Frames into pictures: each function takes and returns Matplotlib's axes, or a plate diagram."""

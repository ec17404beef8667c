"""What needs more than one fit: pooling, comparison, building up, leaving out, calibration."""

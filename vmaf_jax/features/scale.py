"""The scale of scores: VMAF points."""

OUTPUT_RANGE = (0.0, 100.0)

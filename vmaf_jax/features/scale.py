"""The scale of scores, and the pictures that have one: VMAF points, pixels."""

OUTPUT_RANGE = (0.0, 100.0)
MIN_SIZE = 17  # pixels; in fewer, ADM's coarsest band is one sample and has no neighbours

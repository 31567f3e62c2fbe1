"""From pairs of videos to feature tables, by libvmaf or by JAX, through a cache."""

"""Videos: what a file is, one way to run ffmpeg, what it reports, and the luma that it decodes."""

"""What a deployed model does for its users."""

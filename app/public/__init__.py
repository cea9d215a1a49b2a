"""What a public page limits, refuses, and keeps apart."""

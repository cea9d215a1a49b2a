"""Sessions out of the log as a folder or a zip, and back in."""

"""The session log: one SQLite file and a folder of pictures."""

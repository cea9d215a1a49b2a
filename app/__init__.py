"""The shell: composes, serves, remembers. Nothing but app.py and the tests imports it."""

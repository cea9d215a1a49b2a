// Written by `python app.py types` from the dataclasses that panels send. Not to be edited.

export {};

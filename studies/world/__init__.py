"""The drawn world: scenes whose every fact is known, their pictures, questions, edits and films."""

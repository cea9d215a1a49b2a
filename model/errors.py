"""Everything that can go wrong and that a person can do something about.

WorkbenchError
  InputError            what was given cannot be used
    PictureError        a file is not a picture that can be opened safely
    PromptError         a prompt is empty, too long, or not what the checkpoint's template can hold
    OptionsError        a setting is out of range
  CheckpointError       a checkpoint cannot be had
    UnknownCheckpoint   no built-in, folder or Hub repository of that name
    NoNetwork           the Hub cannot be reached and nothing is cached
    GatedCheckpoint     the Hub wants an accepted licence or a token
    NotAVisionLanguageModel
    UnsafeWeights       no safetensors
    RemoteCode          the repository wants its own Python code to run
    TooBig              more memory is needed than there is
    BrokenCheckpoint    files are missing or damaged
  OutOfMemory           memory ran out during a run; the checkpoint stays loaded
  Unsupported           this checkpoint cannot do that; another could

A message says what happened, with the value, and what to do. Messages reach the user as they are.
"""

from __future__ import annotations


class WorkbenchError(Exception):
    """Base of all errors whose message is written for the user."""


class InputError(WorkbenchError):
    """What was given cannot be used."""


class PictureError(InputError):
    """A file is not a picture that can be opened safely."""


class PromptError(InputError):
    """A prompt is empty, too long, or not what the checkpoint's template can hold."""


class OptionsError(InputError):
    """A setting is out of range."""


class CheckpointError(WorkbenchError):
    """A checkpoint cannot be had."""


class UnknownCheckpoint(CheckpointError):
    """No built-in checkpoint, folder or Hub repository of that name."""


class NoNetwork(CheckpointError):
    """The Hub cannot be reached and nothing is cached."""


class GatedCheckpoint(CheckpointError):
    """The Hub wants an accepted licence or a token."""


class NotAVisionLanguageModel(CheckpointError):
    """The checkpoint is of a kind that does not take pictures and write text."""


class UnsafeWeights(CheckpointError):
    """The checkpoint has no safetensors file."""


class RemoteCode(CheckpointError):
    """The repository wants its own Python code to run."""


class TooBig(CheckpointError):
    """More memory is needed than there is."""


class BrokenCheckpoint(CheckpointError):
    """Files of the checkpoint are missing or damaged."""


class OutOfMemory(WorkbenchError):
    """Memory ran out during a run. The checkpoint stays loaded."""


class Unsupported(WorkbenchError):
    """This checkpoint cannot do that."""

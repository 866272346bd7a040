"""Checkpoints of any framework, read without executing anything in them, and the spectra of their weights."""

from ._audit import Audit as Audit
from ._audit import audit as audit
from ._open import open_checkpoint as open_checkpoint
from ._tensor import Tensor as Tensor

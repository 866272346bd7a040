"""The run store: one folder a run, files written whole or not at all, and no pickle anywhere."""

from ._atomic import atomic_write as atomic_write
from ._folder import RunFolder as RunFolder
from ._lines import first_line as first_line
from ._status import STATUSES as STATUSES
from ._versions import versions as versions

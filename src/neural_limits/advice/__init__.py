"""Learning rates: the largest that is stable, and whether it stays so as the width grows. Above `landscape`."""

from ._advice import Advice as Advice
from ._advice import advise_learning_rate as advise_learning_rate
from ._advice import check_widths as check_widths

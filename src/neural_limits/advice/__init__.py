"""Learning rates: the largest stable one and whether it transfers; widths and seeds for an error. Above `landscape`."""

from ._advice import Advice as Advice
from ._advice import advise_learning_rate as advise_learning_rate
from ._advice import check_widths as check_widths
from ._width import WidthAdvice as WidthAdvice
from ._width import advise_width as advise_width

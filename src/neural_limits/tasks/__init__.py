"""Data to train on: your own arrays, a toy, digits, Fashion-MNIST and CIFAR-10 as one ``Task``; text as symbols."""

from ._cifar10 import cifar10 as cifar10
from ._digits import digits as digits
from ._fashion_mnist import fashion_mnist as fashion_mnist
from ._found import found as found
from ._task import Task as Task
from ._text import Text as Text
from ._text import text as text
from ._toy import toy as toy

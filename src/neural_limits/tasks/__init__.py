"""Data to train on: your own arrays, a toy, digits, Fashion-MNIST and CIFAR-10, all as one ``Task``."""

from ._cifar10 import cifar10 as cifar10
from ._digits import digits as digits
from ._fashion_mnist import fashion_mnist as fashion_mnist
from ._found import found as found
from ._task import Task as Task
from ._toy import toy as toy

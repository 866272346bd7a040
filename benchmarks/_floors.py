"""What a product with a `ConditionedMatrix` cannot do without: bytes moved, operations and draws.

Arrays count by the touched rank, not by the capacity of the buffers: work on empty rows is waste. Fresh draws are never
stored, and the second orthogonalisation of a new direction, which is for rounding alone, counts nothing.
"""

from __future__ import annotations

from typing import NamedTuple


class Size(NamedTuple):
    """A look along ``vectors`` vectors, of which ``new`` directions are not yet known.

    ``near`` is the length of the vectors and ``far`` that of the products; ``rank`` belongs to the side that looks,
    ``other_rank`` to the other one.
    """

    near: int
    far: int
    rank: int
    other_rank: int
    vectors: int
    new: int = 0
    itemsize: int = 4


def arrays_of_look(size: Size) -> dict[str, int]:
    """Bytes of each array times how often it must pass between memory and processor.

    Once, but twice where a sum over the whole width must be complete before the array is used again:

    - basis (rank, near): coordinates need it; new directions are the vectors minus coordinates times basis, again.
    - image (rank, far): the product along known directions.
    - other_basis (other_rank, far): learned part and what the other side knows; a new direction's draw is first
      projected on it and then corrected along it, again.
    - other_image (other_rank, near): what the other side knows of the rest of each vector. Once even with new
      directions: its products with basis rows are a small matrix that can be kept.
    """
    again = 2 if size.new else 1
    elements = {
        "vectors": again * size.vectors * size.near,
        "basis": again * size.rank * size.near,
        "image": size.rank * size.far,
        "other_basis": again * size.other_rank * size.far,
        "other_image": size.other_rank * size.near,
        "core": size.rank * size.other_rank,
        "product": size.vectors * size.far,
        "new basis and image": size.new * (size.near + size.far),
    }
    return {name: size.itemsize * count for name, count in elements.items()}


def bytes_of_look(size: Size) -> int:
    """The least traffic of a look."""
    return sum(arrays_of_look(size).values())


def flops_of_look(size: Size) -> int:
    """The least operations of a look: two for each entry of an array and each vector that it meets."""
    known = size.vectors * (size.rank + size.other_rank) * (size.near + size.far)
    residual = size.vectors * (size.rank + size.vectors / 2) * size.near  # and the upper half of their Gram matrix
    mixing = size.new * (size.vectors * size.near + size.vectors * size.far)
    draws = 2 * size.new * size.other_rank * size.far
    return int(2 * (known + (residual + mixing + draws if size.new else 0)))


def draws_of_look(size: Size) -> int:
    """Normal numbers that a look must draw."""
    return size.new * size.far

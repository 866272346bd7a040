"""Texts as symbols: what is shipped, files of the user, windows, and one line for what is wrong."""

import numpy as np
import pytest

from neural_limits.tasks import text


@pytest.fixture(scope="module")
def shipped():
    return text()


def test_the_shipped_text_is_the_text_alone(shipped):
    whole = shipped.decode(np.concatenate([shipped.train, shipped.validation]))
    assert whole.startswith("The book of the generation of Jesus Christ, the son of David")
    assert whole.endswith("The grace of our Lord Jesus Christ be with you all. Amen.\n")
    assert whole.count("\n\n") == 260 - 1  # chapters of the New Testament
    assert whole.count("\n") - whole.count("\n\n") == 7957  # its verses, one a line
    assert not any(c.isdigit() for c in whole)


def test_split_and_alphabet(shipped):
    assert len(shipped.validation) == round(0.1 * 949_738)
    assert list(shipped.alphabet) == sorted(set(shipped.alphabet))
    assert shipped.train.max() < shipped.symbols == 63
    assert not shipped.train.flags.writeable
    assert shipped.decode(shipped.encode("God is love")) == "God is love"
    with pytest.raises(ValueError, match="`characters` must be of the text's alphabet; got 'é'"):
        shipped.encode("é")


def test_windows_are_pieces_and_follow_from_the_seed(shipped):
    found = shipped.windows(5, 40, seed=(1, 2), part="validation")
    assert found.shape == (5, 40)
    whole = shipped.decode(shipped.validation)
    assert all(shipped.decode(window) in whole for window in found)
    np.testing.assert_array_equal(found, shipped.windows(5, 40, seed=(1, 2), part="validation"))
    assert not np.array_equal(found, shipped.windows(5, 40, seed=(1, 3), part="validation"))


def test_windows_reach_both_ends(tmp_path):
    path = tmp_path / "mine.txt"
    path.write_text("".join(chr(ord("a") + i % 26) for i in range(1000)))
    mine = text(path, validation=0.5)
    starts = {tuple(w) for w in mine.windows(4000, 498, seed=0)}
    assert len(starts) == 3  # 500 - 498 + 1 places, all different
    for wrong, message in (({"length": 501}, "`length` must be at most 500"), ({"part": "test"}, "`part` must be")):
        with pytest.raises(ValueError, match=message):
            mine.windows(**{"count": 1, "length": 2, "seed": 0, **wrong})


def test_a_file_of_the_user(tmp_path):
    path = tmp_path / "mine.txt"
    path.write_bytes("\ufeff".encode() + "Ärger\r\nund 🙂 Freude\r".encode() * 100)
    mine = text(path)
    whole = mine.decode(np.concatenate([mine.train, mine.validation]))
    assert whole == "Ärger\nund 🙂 Freude\n" * 100
    assert mine.name == "mine"
    assert mine.symbols == len(set(whole))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"short", "at least 1000 characters; it has 5"),
        (b"a" * 2000, "at least two different characters; it has 1"),
        (b"ab" * 1000 + b"\xff", "must be UTF-8; its byte 2000 is not: convert it"),
    ],
)
def test_files_that_will_not_do(tmp_path, content, message):
    path = tmp_path / "wrong.txt"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message) as caught:
        text(path)
    assert "\n" not in str(caught.value)


def test_wrong_arguments(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"`path` must name a text file; there is no file"):
        text(tmp_path / "none.txt")
    with pytest.raises(ValueError, match="is a folder"):
        text(tmp_path)
    for share in (0, 0.6, float("nan"), "half"):
        with pytest.raises(ValueError, match=r"`validation` must be in \(0, 0.5\]"):
            text(validation=share)

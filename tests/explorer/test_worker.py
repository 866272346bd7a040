"""The computing process: it answers, it stops when told to or when it takes too long, and it comes back."""

import time
from collections.abc import Iterator

import numpy as np
import pytest

import neural_limits as nl
from neural_limits.explorer import VIEWS
from neural_limits.explorer._worker import Job, Worker

QUICK = {"steps": "10"}
LONG = {"depth": "4", "steps": "140"}  # tens of seconds


@pytest.fixture(scope="module")
def worker() -> Iterator[Worker]:
    worker = Worker()
    yield worker
    worker.close()


def wait(worker: Worker, number: int, until: str = "", seconds: float = 100) -> Job:
    """The job once it is no longer running, or once its message contains a text."""
    begun = time.monotonic()
    while time.monotonic() - begun < seconds:
        job = worker.look(number)
        assert job is not None
        if job.state != "running" or (until and until in job.message):
            return job
        time.sleep(0.02)
    raise TimeoutError(f"still {job}")


def test_done_stopped_and_done_again(worker: Worker) -> None:
    view = VIEWS["deep-linear"].parse(QUICK)
    job = wait(worker, worker.submit(view))
    assert (job.state, job.message) == ("done", "")
    expected = nl.limits.deep_linear(**view.settings()).data.train_loss
    np.testing.assert_allclose(job.data.loss, expected, rtol=1e-12)
    assert job.data.attrs["seconds"] > 0

    long = worker.submit(VIEWS["deep-linear"].parse(LONG))
    assert worker.look(job.number) is None
    assert wait(worker, long, until="spectra").state == "running"
    begun = time.monotonic()
    worker.cancel()
    assert time.monotonic() - begun < 5
    stopped = worker.look(long)
    assert stopped is not None
    assert (stopped.state, stopped.data) == ("stopped", None)
    worker.cancel()  # nothing runs: nothing happens

    again = wait(worker, worker.submit(view))
    assert again.state == "done"
    np.testing.assert_array_equal(again.data.loss, job.data.loss)


def test_a_later_view_takes_the_place_of_one_that_has_not_begun(worker: Worker) -> None:
    first = worker.submit(VIEWS["deep-linear"].parse(LONG))
    second = worker.submit(VIEWS["deep-linear"].parse(QUICK))
    assert worker.look(first) is None
    assert wait(worker, second).state == "done"


def test_too_long_is_stopped_and_a_dead_process_is_said() -> None:
    worker = Worker(stop_seconds=0.0)
    try:
        job = wait(worker, worker.submit(VIEWS["deep-linear"].parse(LONG)))
        assert (job.state, job.message) == ("stopped", "it took 0 s; lower `steps` or `depth`.")
        worker._limit = 100.0
        number = worker.submit(VIEWS["deep-linear"].parse(QUICK))
        worker._process.kill()
        job = wait(worker, number)
        assert job.state == "failed"
        assert "process ended" in job.message
    finally:
        worker.close()
    assert not worker._process.is_alive()

"""Progress: its order, cancellation, and the estimate of the time left."""

import threading

import pytest

from ezclip.progress import Cancelled, Progress, Steps, Watch, finish, in_thread, on_terminal, rescale, with_time_left


def counted(n: int) -> Steps[str]:
    for i in range(n):
        yield Progress(i / n, f"step {i}")
    return "result"


def test_the_time_that_is_left_is_estimated(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter((0.0, 0.5, 2.0))
    monkeypatch.setattr("ezclip.progress.time.monotonic", lambda: next(clock))

    def work() -> Steps[str]:
        yield Progress(0.1, "a")
        yield Progress(0.25, "b")
        return "result"

    watch = Watch(with_time_left(work()))
    assert list(watch) == [Progress(0.1, "a"), Progress(0.25, "b, about 6 s left")]
    assert watch.result == "result"


def test_closing_cancels_the_work() -> None:
    ended = threading.Event()

    def work(report):  # type: ignore[no-untyped-def]
        try:
            while True:
                report(0.5)
        except Cancelled:
            ended.set()
            raise

    steps = in_thread(work, "endless")
    assert next(steps) == Progress(0.5, "endless")
    steps.close()
    assert ended.wait(5)


def test_an_error_in_the_thread_reaches_the_caller() -> None:
    def work(_):  # type: ignore[no-untyped-def]
        raise ValueError("from the thread")

    with pytest.raises(ValueError, match="thread"):
        finish(in_thread(work, "failing"))


def test_a_part_lies_within_the_whole() -> None:
    watch = Watch(rescale(counted(4), 0.5, 0.9, "part: "))
    assert [round(step.fraction, 3) for step in watch] == [0.5, 0.6, 0.7, 0.8]
    assert watch.result == "result"
    assert [step.message for step in Watch(rescale(counted(1), 0, 1, "part: "))] == ["part: step 0"]


def test_the_terminal_gets_the_same_words(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert on_terminal(counted(2), show=False) == "result"
    assert capsys.readouterr().err == ""
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    assert on_terminal(counted(2)) == "result"
    assert "step 1" in capsys.readouterr().err

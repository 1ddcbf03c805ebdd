"""What only Python's cycle collector can free: less of it, and freed sooner."""

from __future__ import annotations

from host_stt_common.garbage import forget_frames


def caught() -> ValueError:
    """An exception with a cause and a context, each with its frames."""
    try:
        try:
            int("x")
        except ValueError as error:
            raise KeyError("y") from error
    except KeyError:
        try:
            float("z")
        except ValueError as error:
            return error
    raise AssertionError


def test_the_frames_of_an_exception_and_of_what_it_came_from_are_forgotten() -> None:
    error = caught()
    context = error.__context__
    assert context is not None and context.__cause__ is not None
    assert all(one.__traceback__ is not None for one in (error, context, context.__cause__))
    forget_frames(error)
    assert all(one.__traceback__ is None for one in (error, context, context.__cause__))


def test_exceptions_that_lead_to_each_other_come_to_an_end() -> None:
    one, other = caught(), caught()
    one.__context__, other.__context__ = other, one
    forget_frames(one)
    assert one.__traceback__ is None and other.__traceback__ is None
    forget_frames(None)

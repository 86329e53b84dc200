"""Lies about deadlines: too early, too late, and another one than was given."""

from tests.faults.lies.run import Run, lie


@lie("early")
def a_timeout_before_the_deadline(run: Run) -> None:
    entry = run.logged("timed_out")
    run.rewrite(entry, bool, bool, at_ms=entry.at_ms - 900)


@lie("early")
def a_consent_after_the_deadline(run: Run) -> None:
    entry = run.logged("applying")
    run.rewrite(entry, bool, bool, at_ms=entry.body["card"]["deadline_ms"])


@lie("late")
def a_timeout_much_too_late(run: Run) -> None:
    entry = run.logged("timed_out")
    run.rewrite(entry, bool, bool, at_ms=entry.at_ms + 6000)


@lie("window")
def another_window(run: Run) -> None:
    run.card("rejected")["deadline_ms"] += 1

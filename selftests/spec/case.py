# SPDX-License-Identifier: GPL-2.0
"""Cases and what they check."""


COUNT = {"ok": 0, "not ok": 0, "skip": 0}
CASES = []


def case(text):
    """Makes a function a case, which gets the family."""
    def add(function):
        CASES.append((text, function))
        return function
    return add


def equal(what, want, got):
    """Or the case fails."""
    if want != got:
        raise AssertionError(f"{what}: wanted {want!r}, got {got!r}")


def true(what, value):
    """Or the case fails."""
    if not value:
        raise AssertionError(what)

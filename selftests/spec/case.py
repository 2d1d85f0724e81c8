# SPDX-License-Identifier: GPL-2.0
"""Cases, and the checks that they use."""


COUNT = {"ok": 0, "not ok": 0, "skip": 0}
CASES = []


def case(text):
    """Decorates a function as a case. The function gets the netlink family."""
    def add(function):
        CASES.append((text, function))
        return function
    return add


def equal(what, want, got):
    """Fails the case unless the values are equal."""
    if want != got:
        raise AssertionError(f"{what}: wanted {want!r}, got {got!r}")


def true(what, value):
    """Fails the case unless the value is true."""
    if not value:
        raise AssertionError(what)

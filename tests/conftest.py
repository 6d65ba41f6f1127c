"""Fixtures: `server` (own one for the test, no filters), `make_server` (with options), `shared` (one for a whole file)."""
import os

import pytest

from server import BUILD, Server


def pytest_addoption(parser):
    parser.addoption("--long", action="store_true", help="also what takes minutes or hours")


def pytest_collection_modifyitems(config, items):
    for item in items:
        if "long" in item.keywords and not config.getoption("--long"):
            item.add_marker(pytest.mark.skip(reason="needs --long"))
        if "root" in item.keywords and os.geteuid() != 0:
            item.add_marker(pytest.mark.skip(reason="needs root"))


def pytest_make_parametrize_id(config, val, argname):
    """A long text is a message, with dates and random names in it: it names no test (side by side, names must be the same)."""
    return argname if isinstance(val, (str, bytes)) and len(val) > 60 else None


def pytest_report_header(config):
    return f"programs under test: {BUILD}, as {'root' if os.geteuid() == 0 else 'an ordinary user'}"


@pytest.fixture
def server():
    with Server() as s:
        s.add_domain("example.test", alice="alice-secret", bob="bob-secret")
        yield s


@pytest.fixture(scope="module")
def shared():
    with Server() as s:
        s.add_domain("example.test", alice="alice-secret", bob="bob-secret")
        yield s


@pytest.fixture
def make_server():
    """make_server(options, extra, quiet=True): started, with alice and bob at example.test."""
    made = []

    def make(options=None, extra="", quiet=True, users=True):
        s = Server(options, extra, quiet)
        made.append(s)
        try:
            s.start()
        except BaseException:
            s.clean()
            raise
        if users:
            s.add_domain("example.test", alice="alice-secret", bob="bob-secret")
        return s

    yield make
    problems = []
    for s in made:
        try:
            s.check_health()
            s.stop()
            s.check_log()
        except AssertionError as e:
            problems.append(str(e))
        finally:
            s.clean()
    assert not problems, "\n".join(problems)

"""Fixtures: `server` (own one for the test, no filters), `make_server` (with options), `shared` (one for a whole file)."""
import os

import pytest

from server import BUILD, Server


def pytest_addoption(parser):
    parser.addoption("--long", action="store_true", help="also what takes minutes or hours")


# The files that take longest, longest first: begun last, one of them would keep three of four idle at the end.
LONGEST = """
    test_framing test_relay_role test_exhausted test_smtpd_role test_mta_sts test_talk test_relay_convert test_tls test_relay
    test_database test_auth test_submission test_hostile_messages test_cli test_full test_clients test_rescue test_reload
    test_memory test_barrier test_filter test_limits test_reports_received test_queue_role test_reports_sent test_dns_check
    test_queue_dest test_dovecot test_arc_seal test_basic test_smarthost test_set_aside test_links test_power
""".split()


def rank(item):
    name = item.nodeid.partition("::")[0].rpartition("/")[2].removesuffix(".py")
    return LONGEST.index(name) if name in LONGEST else len(LONGEST)


def pytest_collection_modifyitems(config, items):
    items.sort(key=rank)  # within a file, and among the others, the order stays
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

"""Every conversation of this folder, at a server that those with the same options share."""
import pathlib

import pytest

from player import Player, options_of
from server import Server

FILES = sorted(pathlib.Path(__file__).parent.glob("*.talk"))


@pytest.fixture(scope="module")
def servers():
    running = {}

    def get(options):
        if options not in running:
            s = Server(dict(options))
            s.__enter__()
            running[options] = s
            s.add_domain("example.test", alice="alice-secret", bob="bob-secret")
            s.add_user("full@example.test", "full-secret", "--quota", "1")
        return running[options]

    yield get
    problems = []
    for s in running.values():
        try:
            s.check_health()
            s.stop()
            s.check_log()
        except AssertionError as e:
            problems.append(str(e))
        finally:
            s.clean()
    assert not problems, "\n".join(problems)


@pytest.mark.parametrize("file", FILES, ids=lambda f: f.stem)
def test_talk(file, servers, request):
    text = file.read_text()
    Player(servers(options_of(text)), text, request.config.getoption("--long")).play()

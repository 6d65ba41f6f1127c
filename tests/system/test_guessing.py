"""Password guessing through submission, by every mechanism: whoever guesses is refused, wherever the guesses come from, and the
owner of the account is never locked out."""
import re

import pytest

from scram import Client, Scram, b64
from server import Server, free_port

PROXY = "127.0.0.9"
REFUSED = re.compile(r"454 4\.7\.0 .*try again in ")


def plain(c, user, password):
    return c.cmd("AUTH PLAIN " + b64(f"\0{user}\0{password}".encode()))


def login(c, user, password):
    """May be refused at any step."""
    reply = c.cmd("AUTH LOGIN")
    for text in (user, password):
        if not reply.startswith("334"):
            break
        reply = c.cmd(b64(text.encode()))
    return reply


def scram(c, user, password):
    return c.scram(Scram(user, password))


def scram_plus(c, user, password):
    return c.scram(Scram(user, password, c.exporter()))


MECHANISMS = {"PLAIN": plain, "LOGIN": login, "SCRAM-SHA-256": scram, "SCRAM-SHA-256-PLUS": scram_plus}
every = pytest.mark.parametrize("number,mechanism", list(enumerate(MECHANISMS)), ids=list(MECHANISMS))


def begin(limit):
    """A server with an account for each mechanism, user0 and so on, and their passwords, which all mechanisms take."""
    s = Server({"limits.auth_failures": str(limit), "trusted_proxies": f'{{"{PROXY}"}}'})
    s.ports["proxied"] = free_port()
    s.extra = (f'listen "proxied" {{ kind = submissions address = {{"127.0.0.1:{s.ports["proxied"]}"}} '
               'proxy_protocol = true }')
    s.start()
    s.add_domain("example.test")
    s.passwords = {}
    for i in range(len(MECHANISMS)):
        user = f"user{i}@example.test"
        s.add_user(user, "main password")
        s.passwords[user] = s.json("user", "app-password", "add", user, "--label", "phone")["password"]
    return s


@pytest.fixture(scope="module")
def server():
    s = begin(5)
    yield s
    s.__exit__(None, None, None)


def tries(server, source, mechanism, user, password, times=1, **more):
    with Client(server, source=source, **more) as c:
        return [MECHANISMS[mechanism](c, user, password) for _ in range(times)]


@every
def test_from_one_network(server, number, mechanism):
    """Five guesses, then none, not even a right one or at another account, on no connection; others log in at once."""
    user, guesser = f"user{number}@example.test", f"127.0.1.{number + 1}"
    replies = tries(server, guesser, mechanism, user, "a guess", 7)
    assert [r[:9] for r in replies] == ["535 5.7.8"] * 5 + ["454 4.7.0"] * 2
    assert re.search("too many failed logins from your network; try again in", replies[-1])
    password = server.passwords[user]
    other = f"user{(number + 1) % len(MECHANISMS)}@example.test"
    for who in (user, other):
        assert all(REFUSED.match(r) for r in tries(server, guesser, mechanism, who, server.passwords[who]))
    assert tries(server, f"127.0.2.{number + 1}", mechanism, user, password) == ["235 2.7.0 Welcome"]


@every
def test_in_a_network_of_the_owner(server, number, mechanism):
    """An account that logged in from there is not held up by what others do there, but guesses at itself are."""
    user, home = f"user{number}@example.test", f"127.0.3.{number + 1}"
    other = f"user{(number + 1) % len(MECHANISMS)}@example.test"
    assert tries(server, home, mechanism, user, server.passwords[user]) == ["235 2.7.0 Welcome"]
    assert REFUSED.match(tries(server, home, mechanism, other, "a guess", 6)[-1])
    assert tries(server, home, mechanism, user, server.passwords[user]) == ["235 2.7.0 Welcome"]
    assert tries(server, home, mechanism, user, "typed wrong")[0].startswith("535")
    assert tries(server, home, mechanism, user, server.passwords[user]) == ["235 2.7.0 Welcome"]


def test_a_network_of_ipv6(server):
    """A /56 is one, the next is another."""
    user = "user0@example.test"

    def from_(client, password, times=1):
        header = f"PROXY TCP6 {client} {client} 1 465\r\n".encode()
        return tries(server, PROXY, "PLAIN", user, password, times, kind="proxied", header=header)

    replies = from_("2001:db8:0:1::1", "a guess", 3) + from_("2001:db8:0:ff::9", "a guess", 4)
    assert [r[:3] for r in replies] == ["535"] * 5 + ["454"] * 2
    assert REFUSED.match(from_("2001:db8:0:2::2", server.passwords[user])[0])
    assert from_("2001:db8:0:100::1", server.passwords[user]) == ["235 2.7.0 Welcome"]


@pytest.fixture(scope="module")
def strict():
    s = begin(2)
    yield s
    s.__exit__(None, None, None)


@every
def test_from_many_networks(strict, number, mechanism):
    """So many guesses, each network having its two; from then on a new one has a single guess in ten minutes. The owner logs in at home, where
    she may even mistype, and from anywhere else with her first word."""
    server, user, net = strict, f"user{number}@example.test", f"127.{number + 1}"
    password, home = server.passwords[user], f"127.{number + 1}.0.1"
    assert tries(server, home, mechanism, user, password) == ["235 2.7.0 Welcome"]
    for i in range(11):
        replies = tries(server, f"{net}.1.{i + 1}", mechanism, user, "a guess", 2)
        if not all(r.startswith("535") for r in replies):
            break
    else:
        pytest.fail("eleven networks had two guesses each")
    assert i >= 5  # far more guesses than one network may make
    for i in range(20, 25):
        replies = tries(server, f"{net}.1.{i + 1}", mechanism, user, "a guess", 2)
        assert replies[0].startswith("535") and REFUSED.match(replies[1]), replies
    assert tries(server, home, mechanism, user, password) == ["235 2.7.0 Welcome"]
    assert tries(server, home, mechanism, user, "typed wrong")[0].startswith("535")
    assert tries(server, home, mechanism, user, password) == ["235 2.7.0 Welcome"]
    assert tries(server, f"{net}.2.1", mechanism, user, password) == ["235 2.7.0 Welcome"]
    # other accounts are not slowed down
    other = f"user{(number + 1) % len(MECHANISMS)}@example.test"
    assert tries(server, f"{net}.1.40", "PLAIN", other, server.passwords[other]) == ["235 2.7.0 Welcome"]

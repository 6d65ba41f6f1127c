"""DKIM keys on their way: next, active, retiring, retired; and what DNS has to do with it."""
import email
import json
import os
import re
import signal

import dkim
import pytest

from dns_server import SERVFAIL
from peer import Peer
from server import wait_until

ALICE = "alice@example.test"


@pytest.fixture
def peer():
    with Peer() as p:
        yield p


@pytest.fixture
def server(make_server, peer):
    """Looks every second; a record has to stay two seconds after its key's last signature."""
    s = make_server({"dkim.check_every": "1s", "dkim.retire_after": "2s", "resolver.timeout": "1s"},
                       extra=f'route "peer.test" {{ host = "127.0.0.1:{peer.port}" tls = none }}\n')
    s.dns.ttl = 0
    return s


def keys(server, **only):
    return [k for k in server.json("dkim", "list") if all(k[name] == value for name, value in only.items())]


def publish(server, *selectors, value=None):
    """Put the records of these keys into DNS (all, when none is named)."""
    zones = dict(server.dns.zones)
    for k in keys(server):
        if not selectors or k["selector"] in selectors:
            text = value or k["record"]
            zones[k["name"]] = {"TXT": [" ".join(f'"{text[i:i + 200]}"' for i in range(0, len(text), 200))]}
    server.dns.zones = zones


def withdraw(server, *selectors):
    server.dns.zones = {name: v for name, v in server.dns.zones.items()
                        if not any(name.startswith(s + "._domainkey.") for s in selectors)}


def check_rows(server):
    rows = json.loads(server.run("--json", "check", check=False).stdout)
    return [r for r in rows if r["name"] == "dkim"]


def signed(server, peer, records=None):
    """Send one mail; the selectors of its signatures, each of which must be good by the records (default: what DNS has)."""
    before = len(peer.mails)
    with server.smtp("submissions", ALICE, "alice-secret") as s:
        s.sendmail(ALICE, ["bob@peer.test"], b"From: alice@example.test\r\nTo: bob@peer.test\r\nSubject: x\r\n\r\nhi\r\n")
    mail = wait_until("the mail", lambda: peer.mails[before:])[0].data
    records = records or {k["name"] + ".": k["record"] for k in keys(server)}
    fields = email.message_from_bytes(mail).get_all("DKIM-Signature", [])
    for i in range(len(fields)):
        assert dkim.DKIM(mail).verify(idx=i, dnsfunc=lambda n, timeout=5: records[n.decode()].encode()), mail
    return [re.search(r"\bs=([^;\s]+)", f).group(1) for f in fields]


def state(server, selector):
    found = keys(server, selector=selector)
    return found[0]["state"] if found else None


def test_the_first_pair_signs_at_once(server, peer):
    made = server.json("dkim", "create", "example.test")
    assert [k["algorithm"] for k in made["keys"]] == ["rsa", "ed25519"] and made["ok"]
    assert {k["state"] for k in made["keys"]} == {"active"}
    selectors = [k["selector"] for k in made["keys"]]
    assert signed(server, peer) == selectors  # RSA on top
    wait_until("DNS was asked", lambda: all(k["published"] == "missing" for k in keys(server)))
    assert signed(server, peer) == selectors  # nothing of it is in DNS yet, and nothing else either
    # one of them is there: the other one, which is not, signs no more
    publish(server, selectors[0])
    wait_until("it stops", lambda: not keys(server, selector=selectors[1])[0]["signs"])
    assert signed(server, peer) == selectors[:1]
    publish(server)
    wait_until("it goes on", lambda: all(k["signs"] and k["published"] == "yes" for k in keys(server)))
    assert signed(server, peer) == selectors


def test_a_wrong_or_withdrawn_record_stops_a_key(server, peer):
    selector = server.json("dkim", "create", "example.test", "--algorithm", "rsa")["selector"]
    publish(server, value="v=DKIM1; k=rsa; p=QUJD")
    wait_until("it stops", lambda: not keys(server)[0]["signs"])
    assert keys(server)[0]["published"] == "wrong" and signed(server, peer) == []
    assert "error" in {r["state"] for r in check_rows(server)}, check_rows(server)
    publish(server)
    wait_until("it goes on", lambda: keys(server)[0]["signs"])
    assert signed(server, peer) == [selector]
    # it was seen: now absence counts, but silence does not
    name = keys(server)[0]["name"]
    server.dns.zones = {**server.dns.zones, name: SERVFAIL}
    wait_until("DNS is silent", lambda: keys(server)[0]["published"] == "unknown")
    assert signed(server, peer) == [selector]
    withdraw(server, selector)
    wait_until("it stops", lambda: not keys(server)[0]["signs"])
    assert signed(server, peer) == []
    # neither a new signer nor a start anew forgets it
    server.restart()
    wait_until("it stops", lambda: not keys(server)[0]["signs"])


def test_rotation_without_a_gap(server, peer):
    old = [k["selector"] for k in server.json("dkim", "create", "example.test")["keys"]]
    publish(server)
    wait_until("they were seen", lambda: all(k["seen"] for k in keys(server)))
    made = server.json("dkim", "rotate", "example.test")
    new = [k["selector"] for k in made["keys"]]
    assert {k["state"] for k in made["keys"]} == {"next"} and not set(old) & set(new)
    assert signed(server, peer) == old
    assert "waits" in server.run("dkim", "rotate", "example.test", check=False).stderr
    refused = server.run("dkim", "activate", "example.test", new[0], check=False)
    assert refused.returncode == 1 and "not in DNS" in refused.stderr, refused
    zone = server.cli("dns", "show", "example.test")
    for s in old + new:
        assert re.search(rf"^{s}\._domainkey\.example\.test\. ", zone, re.M), zone

    # the record of another key does not do; its own does, without a word from the administrator
    publish(server, new[0], value="v=DKIM1; k=rsa; p=QUJD")
    wait_until("it was seen", lambda: keys(server, selector=new[0])[0]["published"] == "wrong")
    assert state(server, new[0]) == "next"
    publish(server, new[0])
    seen = []
    while state(server, new[0]) == "next":
        seen.append(signed(server, peer))
    assert all(s in (old, [new[0], old[1]]) for s in seen), seen  # every mail had its signatures
    assert state(server, old[0]) in ("retiring", "retired") and state(server, old[1]) == "active"
    assert set(signed(server, peer)) == {new[0], old[1]}

    # the other one on request, once our resolver does not remember that there was nothing
    publish(server, new[1])
    wait_until("it is active", lambda: server.run("dkim", "activate", "example.test", new[1], check=False).returncode == 0)
    assert state(server, new[1]) == "active"
    assert signed(server, peer) == new
    wait_until("their time is over", lambda: {state(server, s) for s in old} == {"retired"})
    zone = server.cli("dns", "show", "example.test")
    for s in old:
        assert not re.search(rf"^{s}\._domainkey", zone, re.M) and f"; {s}._domainkey.example.test" in zone, zone
    assert any(old[0] in r["text"] and r["state"] == "warning" for r in check_rows(server))
    for s in old:
        assert server.json("dkim", "retire", "example.test", s)["state"] == "removed"
    assert {k["selector"] for k in keys(server)} == set(new)
    assert signed(server, peer) == new


def test_retire_keeps_what_is_needed(server, peer):
    one = server.json("dkim", "create", "example.test", "--algorithm", "rsa")["selector"]
    last = server.run("dkim", "retire", "example.test", one, check=False)
    assert last.returncode == 1 and "dkim rotate" in last.stderr, last
    assert server.run("dkim", "retire", "example.test", "nosuch", check=False).returncode == 1
    two = server.json("dkim", "rotate", "example.test", "--algorithm", "rsa")["selector"]
    assert server.json("dkim", "activate", "example.test", two, "--force")["state"] == "active"
    assert state(server, one) in ("retiring", "retired") and signed(server, peer) == [two]
    # and back: what was retired by mistake may sign again
    publish(server, one)
    wait_until("it is active", lambda: server.run("dkim", "activate", "example.test", one, check=False).returncode == 0)
    assert signed(server, peer) == [one]


def test_while_the_server_is_down(server, peer):
    one = server.json("dkim", "create", "example.test", "--algorithm", "rsa")["selector"]
    server.stop()
    two = server.json("dkim", "rotate", "example.test", "--algorithm", "rsa")["selector"]
    assert (state(server, one), state(server, two)) == ("active", "next")
    unseen = server.run("dkim", "activate", "example.test", two, check=False)
    assert unseen.returncode == 1 and "does not run" in unseen.stderr
    assert server.json("dkim", "activate", "example.test", two, "--force")["state"] == "active"
    assert state(server, one) in ("retiring", "retired")
    three = server.json("dkim", "rotate", "example.test", "--algorithm", "rsa")["selector"]
    assert server.json("dkim", "retire", "example.test", three)["state"] == "removed" and state(server, three) is None
    server.start()
    assert signed(server, peer) == [two]


def test_a_stopped_key_stays_stopped_when_its_signer_dies(make_server, peer):
    """Before control's next pass, which is a day away here: at once after a kill, and after a restart without DNS."""
    server = make_server({"dkim.check_every": "1d", "resolver.timeout": "1s"},
                         extra=f'route "peer.test" {{ host = "127.0.0.1:{peer.port}" tls = none }}\n')
    server.dns.ttl = 0
    server.restarts_expected = True
    server.cli("dkim", "create", "example.test")
    publish(server)
    server.restart()
    wait_until("the records are seen", lambda: all(k["published"] == "yes" for k in keys(server)))
    selectors = {k["selector"] for k in keys(server)}
    bad = keys(server, algorithm="rsa")[0]["selector"]
    assert set(signed(server, peer)) == selectors
    publish(server, bad, value="v=DKIM1; k=rsa; p=AAAA")
    server.restart()
    wait_until("it stops", lambda: not keys(server, selector=bad)[0]["signs"])
    wait_until("that is written down", lambda: re.search(rf"^{bad} active \d+ 1 1$", (server.state / "keys/example.test.states").read_text(), re.M))
    assert set(signed(server, peer)) == selectors - {bad}
    before = server.pids("signer")
    os.kill(before[0], signal.SIGKILL)
    wait_until("another signer", lambda: [p for p in server.pids("signer") if p not in before])
    assert set(signed(server, peer)) == selectors - {bad}
    assert [r for r in check_rows(server) if r["state"] == "error" and bad in r["text"] and "does not sign" in r["text"]]
    server.dns.zones = {name: SERVFAIL for name in server.dns.zones}
    server.stop()
    assert not keys(server, selector=bad)[0]["signs"]
    server.start()
    assert set(signed(server, peer)) == selectors - {bad}

"""tegami dns show and dns check: what to publish, and whether the world sees it."""
import copy
import hashlib
import json
import os
import re
import subprocess

import pytest

from dns_server import SERVFAIL

PATH = os.environ["PATH"] + ":/usr/sbin:/sbin"


@pytest.fixture
def server(make_server):
    server = make_server({"spf.enabled": "true"}, extra='spam { dnsbl "bl.test" { weight = 3 } }')
    server.cli("dkim", "create", "example.test")
    return server


def published(server):
    """The zone as `dns show` wants it, in the form of the scripted DNS server."""
    zones = {"mx.example.test": {"A": ["192.0.2.7"]}, "7.2.0.192.in-addr.arpa": {"PTR": ["mx.example.test."]}}
    for r in json.loads(server.cli("--json", "dns", "show", "example.test")):
        value = r["value"]
        if r["type"] == "TXT":
            value = " ".join(f'"{value[i:i + 200]}"' for i in range(0, len(value), 200))
        zones.setdefault(r["name"], {}).setdefault(r["type"], []).append(value)
    return zones


def found(server):
    rows = json.loads(server.run("--json", "dns", "check", "example.test", check=False).stdout)
    return {(r["name"], r["state"]) for r in rows}, rows


def test_all_is_published(server):
    server.dns.zones = published(server)
    states, rows = found(server)
    assert {name for name, state in states if state == "ok"} >= {"mx", "address", "ptr", "spf", "dkim", "dmarc", "dnsbl"}, rows
    assert not [r for r in rows if r["state"] != "ok"], rows


@pytest.mark.parametrize("name, what", [
    ("mx", lambda z: z["example.test"].update(MX=["10 other.test."])),
    ("mx", lambda z: z["example.test"].pop("MX")),
    ("address", lambda z: z.pop("mx.example.test")),
    ("ptr", lambda z: z.pop("7.2.0.192.in-addr.arpa")),
    ("spf", lambda z: z["example.test"].update(TXT=['"v=spf1 -all"'])),
    ("spf", lambda z: z["example.test"].update(TXT=['"v=spf1 mx -all"', '"v=spf1 a -all"'])),
    ("spf", lambda z: z["example.test"].pop("TXT")),
    ("dkim", lambda z: [z.pop(n) for n in list(z) if "_domainkey" in n]),
    ("dkim", lambda z: [z[n].update(TXT=['"v=DKIM1; k=rsa; p=QUJD"']) for n in z if "_domainkey" in n]),
    ("dmarc", lambda z: z.pop("_dmarc.example.test")),
    ("dmarc", lambda z: z.__setitem__("_dmarc.example.test", SERVFAIL)),
    ("dnsbl", lambda z: z.__setitem__("7.2.0.192.bl.test", {"A": ["127.0.0.2"]})),
])
def test_one_thing_is_wrong(server, name, what):
    zones = published(server)
    what(zones)
    server.dns.zones = zones
    _, rows = found(server)
    bad = [r for r in rows if r["state"] != "ok"]
    assert name in {r["name"] for r in bad}, rows
    assert all(r["advice"] for r in bad), bad


ASTRAY = [  # what changes in the zone; the row: its name, state, what it says, what to do
    (lambda z: z.pop("_smtp._tls.example.test"), "tlsrpt", "warning", "is not published", "dns show"),
    (lambda z: z["_smtp._tls.example.test"].update(TXT=['"v=TLSRPTv1;"']), "tlsrpt", "error", "rua", "dns show"),
    (lambda z: z["_smtp._tls.example.test"].update(TXT=['"v=TLSRPTv1; rua=mailto:a@b.test"', '"v=TLSRPTv1; rua=mailto:c@b.test"']),
     "tlsrpt", "error", "several records", "leave one"),
    (lambda z: z["_smtp._tls.example.test"].update(TXT=['"v=TLSRPTv1; rua=ftp://b.test/x"']), "tlsrpt", "error", "mailto: or https:", "dns show"),
    (lambda z: z.pop("_mta-sts.example.test"), "mta-sts", "warning", "is not published", "dns show"),
    (lambda z: z["_mta-sts.example.test"].update(TXT=['"v=STSv1"']), "mta-sts", "error", "id", "dns show"),
    (lambda z: z["_mta-sts.example.test"].update(TXT=['"v=STSv1; id=1"', '"v=STSv1; id=2"']), "mta-sts", "error", "several records", "leave one"),
    (lambda z: z.pop("mta-sts.example.test"), "mta-sts", "error", "policy cannot be fetched", "dns show"),
    (lambda z: z.pop("_submissions._tcp.example.test"), "srv", "warning", "is not published", "if you offer"),
    (lambda z: z["_submissions._tcp.example.test"].update(SRV=["0 1 465 other.test."]), "srv", "warning", "other.test", "dns show"),
    (lambda z: z["_submissions._tcp.example.test"].update(SRV=["0 1 25 mx.example.test."]), "srv", "warning", "0 1 25", "dns show"),
    (lambda z: z["_25._tcp.mx.example.test"].update(TLSA=["3 1 1 " + "ab" * 32]), "tlsa", "error", "none of our keys", "at once"),
    (lambda z: z.__setitem__("_25._tcp.mx.example.test", SERVFAIL), "tlsa", "warning", "could not be looked up", "name servers"),
    (lambda z: z["7.2.0.192.in-addr.arpa"].update(PTR=["other.test."]), "ptr", "warning", "other.test", "PTR"),
    (lambda z: z["mx.example.test"].update(A=["192.0.2.8"]), "ptr", "warning", "192.0.2.8", "PTR"),
    (lambda z: z.__setitem__("7.2.0.192.bl.test", {"A": ["127.0.0.2"]}), "dnsbl", "error", "bl.test", "list"),
]


def test_what_leads_astray(server):
    """Each of these has a row that names it, says how bad it is and what to do; nothing else is named (but what hangs on it). The text has all that JSON has."""
    right = published(server)
    for change, name, state, says, do in ASTRAY:
        zones = copy.deepcopy(right)
        change(zones)
        server.dns.zones = zones
        _, rows = found(server)
        bad = [r for r in rows if r["state"] != "ok"]
        assert [r for r in bad if r["name"] == name and r["state"] == state and says in r["text"] and do in r["advice"]], (name, says, bad)
        assert {r["name"] for r in bad} <= {name, "address", "spf"}, bad
        text = re.sub(r"\s+", " ", server.run("dns", "check", "example.test", check=False).stdout)
        for r in bad:
            assert r["text"] in text and r["advice"] in text, text


def test_show_pins_the_certificate_and_names_services(server):
    text = server.cli("dns", "show", "example.test")
    assert re.search(r"^_25\._tcp\.mx\.example\.test\.\s+3600\s+IN\s+TLSA\s+3 1 1 [0-9a-f]{64}$", text, re.M), text
    assert re.search(r"^; *version: STSv1$", text, re.M) and re.search(r'^_mta-sts\.example\.test\. .* TXT +"v=STSv1; id=[0-9a-f]{16}"$', text, re.M)
    assert re.search(r"^_submissions\._tcp\.example\.test\.\s+3600\s+IN\s+SRV\s+0 1 465 mx\.example\.test\.$", text, re.M)


def test_dead_dns_is_said_at_once(server):
    """Nothing answers: one row says so, instead of one time-out for each record."""
    server.dns.zones = {name: SERVFAIL for name in ("example.test", "mx.example.test", "_dmarc.example.test")}
    server.dns.zones.update({n: SERVFAIL for n in published(server)})
    _, rows = found(server)
    dns = [r for r in rows if r["name"] == "dns"]
    assert len(dns) == 1 and dns[0]["state"] == "error" and "answers nothing" in dns[0]["text"], rows
    assert len(rows) <= 4, rows
    assert not [r for r in rows if r["name"] == "address" and r["state"] == "error"], rows


def test_show_pins_the_coming_key(server):
    before = server.json("dns", "show", "example.test")
    subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", f"{server.key}.next"], check=True, capture_output=True)
    der = subprocess.run(["openssl", "pkey", "-in", f"{server.key}.next", "-pubout", "-outform", "DER"], check=True, capture_output=True).stdout
    new = [r for r in server.json("dns", "show", "example.test") if r not in before]
    assert [(r["name"], r["type"], r["value"]) for r in new] == [
        ("_25._tcp.mx.example.test", "TLSA", "3 1 1 " + hashlib.sha256(der).hexdigest())]


def test_show_is_a_zone_file(server, tmp_path):
    """What it prints loads as it is, below what every zone has."""
    server.cli("dkim", "rotate", "example.test")
    zone = tmp_path / "zone"
    zone.write_text("$ORIGIN example.test.\n@ 3600 IN SOA mx hostmaster 1 3600 900 604800 300\n@ 3600 IN NS mx\nmx 3600 IN A 192.0.2.7\n"
                    + server.cli("dns", "show", "example.test"))
    p = subprocess.run(["nsd-checkzone", "example.test", zone], env={"PATH": PATH}, capture_output=True, text=True)
    assert p.returncode == 0, p.stdout + p.stderr
    zone.write_text(zone.read_text() + "broken IN TLSA 3 1 1 zz\n")
    assert subprocess.run(["nsd-checkzone", "example.test", zone], env={"PATH": PATH}, capture_output=True).returncode != 0

"""Reports that we send to other domains (DMARC, RFC 9990; TLS, RFC 8460): collected from real mail, sent to a scripted peer."""
import email
import gzip
import json
import os
import pathlib
import re
import signal
import sqlite3
import subprocess
import xml.etree.ElementTree as xml

import dkim
import pytest

from peer import Peer
from server import message, wait_until

HERE = pathlib.Path(__file__).parent
NS = {"d": "urn:ietf:params:xml:ns:dmarc-2.0"}
CHECKS = {"spf.enabled": "true", "dkim.enabled": "true", "dmarc.enabled": "true", "reports.interval": "1s",
          "trusted_proxies": '{"127.0.0.1"}'}


@pytest.fixture
def reporting(make_server):
    """A server whose domain has keys, and the host that everybody else's mail goes to."""
    with Peer() as peer:
        def make(options=None, key=True):
            server = make_server({**CHECKS, **(options or {})}, f'route "*" {{ host = "127.0.0.1:{peer.port}" tls = none }}')
            server.dns.zones = {}
            if key:
                server.cli("dkim", "create", "example.test")
                publish_keys(server)
            return server
        yield make, peer


def publish_keys(server):
    for key in server.json("dkim", "list"):
        name = f"{key['selector']}._domainkey.example.test"
        server.dns.zones[name] = {"TXT": [quoted(key["record"])]}


def quoted(text):
    return " ".join('"%s"' % text[i:i + 200] for i in range(0, len(text), 200))


def domain(server, name, dmarc, spf="v=spf1 ip4:192.0.2.1 -all"):
    server.dns.zones[name] = {"TXT": [quoted(spf)], "A": ["192.0.2.1"]}
    server.dns.zones["_dmarc." + name] = {"TXT": [quoted(dmarc)]}


def send(server, sender, ip="192.0.2.1", author=None, subject="a letter", to="alice@example.test"):
    """As the client `ip`; the reply code of the end of data."""
    with server.smtp() as s:
        s.docmd("XCLIENT", f"ADDR={ip} NAME=[UNAVAILABLE]")
        s.ehlo("client.test")
        s.mail(sender)
        s.rcpt(to)
        return s.data(message(subject, author or sender, to).as_bytes())[0]


class Report:
    """A report as the peer got it: its mail and the XML, checked against the schema."""

    def __init__(self, mail, tmp_path):
        self.rcpts, self.data = mail.rcpts, mail.data
        assert mail.sender == ""  # nobody wants to hear that it could not be delivered
        self.mail = email.message_from_bytes(mail.data)
        assert self.mail.get_content_type() == "multipart/mixed"
        text, part = self.mail.get_payload()
        assert part.get_content_type() == "application/gzip"
        self.name = part.get_filename()
        file = tmp_path / "report.xml"
        file.write_bytes(gzip.decompress(part.get_payload(decode=True)))
        check = subprocess.run(["xmllint", "--noout", "--schema", HERE / "dmarc-report.xsd", file], capture_output=True, text=True)
        assert check.returncode == 0, check.stderr + file.read_text()
        self.xml = xml.parse(file).getroot()
        self.domain = self.text("policy_published/domain")
        self.id = self.text("report_metadata/report_id")

    def text(self, path, node=None):
        return (self.xml if node is None else node).findtext("/".join("d:" + p for p in path.split("/")), namespaces=NS)

    def rows(self):
        """(ip, disposition, dkim, spf, From, sender, reasons): messages"""
        out = {}
        for record in self.xml.findall("d:record", NS):
            key = tuple(self.text(p, record) or "" for p in (
                "row/source_ip", "row/policy_evaluated/disposition", "row/policy_evaluated/dkim", "row/policy_evaluated/spf",
                "identifiers/header_from", "identifiers/envelope_from"))
            reasons = tuple(self.text("type", r) for r in record.findall("d:row/d:policy_evaluated/d:reason", NS))
            assert key + (reasons,) not in out
            out[key + (reasons,)] = int(self.text("row/count", record))
        return out


def reports(peer, tmp_path):
    return [Report(m, tmp_path) for m in list(peer.mails) if b"Report Domain: " in m.data]


def wait_rows(peer, tmp_path, name, n):
    """All rows about a domain, added up over its reports, once they speak of n messages."""
    def get():
        total = {}
        for r in reports(peer, tmp_path):
            for key, count in r.rows().items() if r.domain == name else ():
                total[key] = total.get(key, 0) + count
        return total
    wait_until(f"{n} messages in reports on {name}", lambda: sum(get().values()) >= n)
    return get()


def test_dmarc(reporting, tmp_path):
    make, peer = reporting
    server = make()
    domain(server, "good.test", "v=DMARC1; p=quarantine; sp=reject; adkim=s; rua=mailto:reports@good.test")
    domain(server, "strict.test", "v=DMARC1; p=reject; rua=mailto:a@strict.test,mailto:b@sub.strict.test!10m,mailto:c@strict.test!1k")
    domain(server, "silent.test", "v=DMARC1; p=none")
    for _ in range(3):
        assert send(server, "bob@good.test") == 250
    assert send(server, "bob@good.test", "192.0.2.9") == 250   # Junk
    assert send(server, "eve@evil.test", "192.0.2.9", "bob@good.test") == 250
    assert send(server, "", "2001:db8::9", "<x&y@sub.good.test>") == 550
    assert send(server, "bob@strict.test", "192.0.2.9") == 550
    assert send(server, "bob@silent.test") == 250
    rows = wait_rows(peer, tmp_path, "good.test", 6)
    assert rows == {
        ("192.0.2.1", "pass", "fail", "pass", "good.test", "good.test", ()): 3,
        ("192.0.2.9", "quarantine", "fail", "fail", "good.test", "good.test", ()): 1,
        ("192.0.2.9", "quarantine", "fail", "fail", "good.test", "evil.test", ()): 1,
        ("2001:db8::9", "reject", "fail", "fail", "sub.good.test", "", ()): 1,
    }
    rows = wait_rows(peer, tmp_path, "strict.test", 2)  # to two addresses; the third takes nothing so long
    assert rows == {("192.0.2.9", "reject", "fail", "fail", "strict.test", "strict.test", ()): 2}
    server.wait_queue_empty()
    got = reports(peer, tmp_path)
    assert {r.rcpts[0] for r in got if r.domain == "strict.test"} == {"a@strict.test", "b@sub.strict.test"}
    assert not [r for r in got if r.domain == "silent.test"]
    for r in got:
        begin, end = int(r.text("report_metadata/date_range/begin")), int(r.text("report_metadata/date_range/end"))
        assert r.text("report_metadata/email") == "postmaster@example.test" and begin <= end
        assert r.name == f"mx.example.test!{r.domain}!{begin}!{end}!{r.id}.xml.gz" and re.fullmatch("[0-9a-z]+", r.id)
        assert re.sub(r"\s+", " ", r.mail["Subject"]) == f"Report Domain: {r.domain} Submitter: mx.example.test Report-ID: <{r.id}>"
        assert r.mail["Auto-Submitted"] == "auto-generated" and r.mail["From"] == "postmaster@example.test"
        # both keys' signatures hold
        lookup = lambda name, timeout=5: server.dns.zones[name.decode().rstrip(".")]["TXT"][0].replace('" "', "").strip('"').encode()
        signatures = re.findall(rb"^DKIM-Signature:", r.data, re.M)
        assert signatures and all(dkim.verify(r.data, dnsfunc=lookup) for _ in signatures)
    policy = [r for r in got if r.domain == "good.test"][0]
    assert [policy.text("policy_published/" + w) for w in ("p", "sp", "np", "adkim", "aspf", "testing")] == [
        "quarantine", "reject", "reject", "s", "r", "n"]


def test_dmarc_destinations(reporting, tmp_path):
    """Addresses elsewhere get a report only when their host says in DNS that they take it; and it may name another address."""
    make, peer = reporting
    server = make()
    for name, to in (("a.test", "x@away.test"), ("b.test", "x@agreed.test"), ("c.test", "x@all.test"), ("d.test", "old@moved.test"),
                     ("e.test", "x@notdmarc.test"), ("f.test", "https://f.test/x"), ("g.test", "x@moved-away.test")):
        domain(server, name, f"v=DMARC1; p=none; rua={'' if '//' in to else 'mailto:'}{to}")
    server.dns.zones.update({
        "b.test._report._dmarc.agreed.test": {"TXT": ['"v=DMARC1;"', '"something else"']},
        "*._report._dmarc.all.test": {"TXT": ['"v=DMARC1"']},
        "c.test._report._dmarc.all.test": {"TXT": ['"v=DMARC1"']},
        "d.test._report._dmarc.moved.test": {"TXT": ['"v=DMARC1; rua=mailto:new@moved.test"']},
        "e.test._report._dmarc.notdmarc.test": {"TXT": ['"v=spf1 -all"']},
        "g.test._report._dmarc.moved-away.test": {"TXT": ['"v=DMARC1; rua=mailto:victim@other.test"']},
    })
    for name in "abcdefg":
        assert send(server, f"bob@{name}.test") == 250
    wait_until("all that may go", lambda: {r.rcpts[0] for r in reports(peer, tmp_path)} >= {
        "x@agreed.test", "x@all.test", "new@moved.test", "x@moved-away.test"})
    for name in ("a", "e"):
        server.wait_log(f"no DMARC report on {name}.test goes to ")
    server.wait_queue_empty()
    assert {m.rcpts[0] for m in peer.mails} == {"x@agreed.test", "x@all.test", "new@moved.test", "x@moved-away.test"}
    # the right names were asked, and none for addresses of the domain itself
    asked = {name for name, _ in server.dns.asked if "_report._dmarc" in name}
    assert asked == {f"{p}.test._report._dmarc.{h}.test" for p, h in zip("abcdeg", ("away", "agreed", "all", "moved", "notdmarc", "moved-away"))}


def test_dmarc_reasons(reporting, tmp_path):
    make, peer = reporting
    server = make({"dmarc.allow_networks": '{"192.0.2.77"}'})
    domain(server, "good.test", "v=DMARC1; p=reject; rua=mailto:reports@good.test")
    domain(server, "trial.test", "v=DMARC1; p=reject; t=y; rua=mailto:reports@trial.test")
    assert send(server, "bob@good.test", "192.0.2.77") == 250
    assert send(server, "bob@trial.test", "192.0.2.9") == 250
    # reports on our reports: they prove their domain, and are not told of
    assert send(server, "bob@good.test", subject="Report Domain: example.test Submitter: x Report-ID: 1") == 250
    # one that does not is
    assert send(server, "bob@good.test", "192.0.2.9", subject="Report Domain: example.test") == 550
    assert wait_rows(peer, tmp_path, "trial.test", 1) == {
        ("192.0.2.9", "quarantine", "fail", "fail", "trial.test", "trial.test", ("policy_test_mode",)): 1}
    assert wait_rows(peer, tmp_path, "good.test", 2) == {
        ("192.0.2.77", "none", "fail", "fail", "good.test", "good.test", ("trusted_forwarder",)): 1,
        ("192.0.2.9", "reject", "fail", "fail", "good.test", "good.test", ()): 1}


def test_dmarc_unsigned_waits(reporting, tmp_path):
    """Without a key nothing goes; what was collected is there when there is one, also after a restart and a kill."""
    make, peer = reporting
    server = make(key=False)
    domain(server, "good.test", "v=DMARC1; p=none; rua=mailto:reports@good.test")
    assert send(server, "bob@good.test") == 250
    server.wait_log("cannot be signed")
    assert not peer.mails
    server.cli("dkim", "create", "example.test")
    publish_keys(server)
    server.kill()
    server.start()
    rows = wait_rows(peer, tmp_path, "good.test", 1)
    assert list(rows.values()) == [1]


def test_dmarc_waits_for_dns_and_day(reporting, tmp_path):
    """A host that cannot be asked gets its report later, once. A day's report waits for its end, over restarts; off is off."""
    make, peer = reporting
    server = make()
    domain(server, "a.test", "v=DMARC1; p=none; rua=mailto:x@slow.test,mailto:y@a.test")
    server.dns.zones["a.test._report._dmarc.slow.test"] = "servfail"
    assert send(server, "bob@a.test") == 250
    wait_until("the other one", lambda: [m for m in peer.mails if m.rcpts == ["y@a.test"]])
    server.wait_log("waits: DNS")
    server.dns.zones["a.test._report._dmarc.slow.test"] = {"TXT": ['"v=DMARC1"']}
    wait_until("the one that waited", lambda: [m for m in peer.mails if m.rcpts == ["x@slow.test"]])
    server.wait_queue_empty()
    got = reports(peer, tmp_path)
    assert sorted(r.rcpts[0] for r in got) == ["x@slow.test", "y@a.test"] and len({r.id for r in got}) == 1
    server.options["reports.interval"] = "7d"
    server.reload()
    domain(server, "week.test", "v=DMARC1; p=none; rua=mailto:x@week.test")
    assert send(server, "bob@week.test") == 250
    wait_until("it is noted", lambda: seen(server, "week.test"))
    server.restart()
    assert seen(server, "week.test") and not [r for r in reports(peer, tmp_path) if r.domain == "week.test"]


def kill_control(server):
    server.restarts_expected = True
    os.kill(server.pids("control")[0], signal.SIGKILL)


def test_dmarc_killed_before_the_mark(reporting, tmp_path):
    """control dies when the queue has the report and history.db does not know yet: the reader gets the same report once more, no third, and
    nobody else's is lost. What was marked before is not sent again."""
    make, peer = reporting
    server = make()
    domain(server, "a.test", "v=DMARC1; p=none; rua=mailto:y@a.test,mailto:x@slow.test")
    server.dns.zones["a.test._report._dmarc.slow.test"] = "servfail"
    assert send(server, "bob@a.test") == 250
    wait_until("the first one is marked", lambda: rows_of(server, "report_sent", "destination = 'y@a.test'"))
    lock = sqlite3.connect(f"{server.state}/history.db", timeout=60, isolation_level=None)
    wait_until("the lock", lambda: locked(lock))  # nothing can be marked from here on
    server.dns.zones["a.test._report._dmarc.slow.test"] = {"TXT": ['"v=DMARC1"']}
    wait_until("the other one", lambda: [m for m in peer.mails if m.rcpts == ["x@slow.test"]], 180)
    server.wait_log("cannot be noted just now")  # and it is not sent again because of that
    kill_control(server)
    lock.execute("ROLLBACK")
    assert not rows_of(server, "report_sent", "destination = 'x@slow.test'")
    wait_until("its second copy", lambda: len([m for m in peer.mails if m.rcpts == ["x@slow.test"]]) == 2, 180)
    lock.close()  # not before control is back: the last to close would take history.db-wal along, and control may not make it
    wait_until("the report is closed", lambda: not seen(server, "a.test"))
    server.wait_queue_empty()
    got = reports(peer, tmp_path)
    assert sorted(r.rcpts[0] for r in got) == ["x@slow.test", "x@slow.test", "y@a.test"]
    first, second = [r for r in got if r.rcpts == ["x@slow.test"]]  # exactly two: the window was hit, once
    assert first.id == second.id and first.rows() == second.rows() and first.mail["Message-ID"] == second.mail["Message-ID"]


def locked(db):
    try:
        db.execute("BEGIN IMMEDIATE")
        return True
    except sqlite3.OperationalError:
        return False


def rows_of(server, table, where="1"):
    db = sqlite3.connect(f"file:{server.state}/history.db?mode=ro", uri=True, timeout=30)
    try:
        return db.execute(f"SELECT count(*) FROM {table} WHERE {where}").fetchone()[0]
    finally:
        db.close()


def seen(server, name):
    return rows_of(server, "dmarc_seen", f"domain = '{name}'")


# -- TLS reports

def tls_reports(peer):
    """domain: [(the report's mail, its name, its JSON, the raw mail)]"""
    out = {}
    for m in list(peer.mails):
        mail = email.message_from_bytes(m.data)
        if mail["TLS-Report-Domain"]:
            assert m.sender == "" and mail.get_content_type() == "multipart/report" and mail.get_param("report-type") == "tlsrpt"
            part = mail.get_payload()[1]
            assert part.get_content_type() == "application/tlsrpt+gzip"
            told = json.loads(gzip.decompress(part.get_payload(decode=True)))
            out.setdefault(mail["TLS-Report-Domain"], []).append((mail, part.get_filename(), told, m.data))
    return out


def test_tls(make_server):
    """Sessions with a host that has STARTTLS and one that has not, told to who asks; counts of domains that do not ask go."""
    with Peer() as readers:
        server = make_server({"reports.interval": "1s"}, f'route "reports.test" {{ host = "127.0.0.1:{readers.port}" tls = none }}')
        with Peer(tls=(server.cert, server.key)) as good, Peer(good.port, address="127.0.0.2") as bad:
            server.options["relay.port"] = str(good.port)
            server.cli("dkim", "create", "example.test")
            server.restart()
            server.dns.zones = {
                "good.test": {"MX": ["10 mx.good.test."]}, "mx.good.test": {"A": ["127.0.0.1"]},
                "bad.test": {"MX": ["10 mx.bad.test."]}, "mx.bad.test": {"A": ["127.0.0.2"]},
                "silent.test": {"MX": ["10 mx.good.test."]}, "two.test": {"MX": ["10 mx.good.test."]},
                "_smtp._tls.good.test": {"TXT": ['"v=TLSRPTv1; rua=mailto:tls@reports.test"', '"something else"']},
                "_smtp._tls.bad.test": {"TXT": ['"v=TLSRPTv1;rua=ftp://bad.test/reports,mailto:bad@reports.test"']},
                "_smtp._tls.two.test": {"TXT": ['"v=TLSRPTv1; rua=mailto:a@reports.test"', '"v=TLSRPTv1; rua=mailto:b@reports.test"']},
            }
            publish_keys(server)
            for to in ("bob@good.test", "bob@bad.test", "bob@silent.test", "bob@two.test"):
                with server.smtp("submission", "alice@example.test", "alice-secret") as s:
                    s.sendmail("alice@example.test", [to], message("x", "alice@example.test", to).as_bytes())
            good.wait(3)
            bad.wait(1)
            wait_until("two reports", lambda: len(tls_reports(readers)) >= 2)
            wait_until("all counts are gone", lambda: not rows_of(server, "tls_session") and not rows_of(server, "tls_report"))
            server.wait_queue_empty()
            got = tls_reports(readers)
    assert set(got) == {"good.test", "bad.test"}
    (mail, name, told, data), = got["good.test"]
    (_, _, failed, _), = got["bad.test"]
    assert mail["To"] == "tls@reports.test" and mail["TLS-Report-Submitter"] == "mx.example.test" and mail["TLS-Required"] == "No"
    assert told["organization-name"] == "mx.example.test" and told["contact-info"] == "postmaster@example.test"
    assert re.fullmatch(r"20\d\d-\d\d-\d\dT00:00:00Z", told["date-range"]["start-datetime"])
    assert re.fullmatch(r"mx\.example\.test!good\.test!\d+!\d+!%s\.json\.gz" % told["report-id"], name)
    assert re.sub(r"\s+", " ", mail["Subject"]) == (
        f"Report Domain: good.test Submitter: mx.example.test Report-ID: <{told['report-id']}>")
    policy, = told["policies"]
    assert policy["policy"] == {"policy-type": "no-policy-found", "policy-domain": "good.test"}
    assert policy["summary"] == {"total-successful-session-count": 1, "total-failure-session-count": 0}
    lookup = lambda name, timeout=5: server.dns.zones[name.decode().rstrip(".")]["TXT"][0].replace('" "', "").strip('"').encode()
    assert dkim.verify(data, dnsfunc=lookup)
    policy, = failed["policies"]
    assert policy["summary"] == {"total-successful-session-count": 0, "total-failure-session-count": 1}
    detail, = policy["failure-details"]
    assert detail["result-type"] == "starttls-not-supported" and detail["failed-session-count"] == 1
    assert (detail["receiving-mx-hostname"], detail["receiving-ip"]) == ("mx.bad.test", "127.0.0.2")

"""Reports that other servers send (DMARC, TLS): taken at a report address, read, kept and shown."""
import email.message
import gzip
import io
import json
import time
import zipfile

import pytest

from server import wait_until

DAY = 86400
FEEDBACK = """<?xml version="1.0" encoding="UTF-8"?>
<feedback>
  <report_metadata>
    <org_name>{org}</org_name><email>dmarc@{org}</email><report_id>{id}</report_id>
    <date_range><begin>{begin}</begin><end>{end}</end></date_range>
  </report_metadata>
  <policy_published><domain>example.test</domain><adkim>r</adkim><aspf>r</aspf><p>none</p><sp>none</sp><pct>100</pct>
  </policy_published>
{records}</feedback>
"""
RECORD = """  <record>
    <row><source_ip>{ip}</source_ip><count>{count}</count>
      <policy_evaluated><disposition>{done}</disposition><dkim>{dkim}</dkim><spf>{spf}</spf></policy_evaluated></row>
    <identifiers><header_from>example.test</header_from></identifiers>
    <auth_results>
      <dkim><domain>example.test</domain><selector>s1</selector><result>{dkim}</result></dkim>
      <spf><domain>{envelope}</domain><result>{spf_auth}</result></spf>
    </auth_results>
  </record>
"""
OURS, SERVICE, FORWARDER, STRANGER = "127.0.0.1", "192.0.2.20", "192.0.2.30", "192.0.2.66"


def record(ip, count, dkim="pass", spf="pass", done="none", envelope="example.test", spf_auth=None):
    return RECORD.format(ip=ip, count=count, dkim=dkim, spf=spf, done=done, envelope=envelope,
                         spf_auth=spf_auth or spf)


def feedback(records, org="reporter.test", id="r1", days=1):
    end = int(time.time()) - DAY
    return FEEDBACK.format(org=org, id=id, begin=end - days * DAY, end=end, records="".join(records)).encode()


def zipped(data, name="report.xml"):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as z:
        z.writestr(name, data)
    return out.getvalue()


def mail(data, kind, file, sender="dmarc@reporter.test", to="dmarc@example.test"):
    m = email.message.EmailMessage()
    m["From"], m["To"], m["Subject"] = sender, to, "Report Domain: example.test Submitter: reporter.test"
    m["Date"], m["Message-ID"] = "Tue, 24 Nov 2026 10:00:00 +0000", f"<{file}.{time.monotonic_ns()}@reporter.test>"
    m.set_content("A report is attached.\n")
    main, sub = kind.split("/")
    m.add_attachment(data, maintype=main, subtype=sub, filename=file)
    return m.as_bytes().replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")


@pytest.fixture
def server(make_server):
    s = make_server({"reports.address": '{"dmarc@example.test"}', "spf.enabled": "true"})
    s.dns.zones = {
        "reporter.test": {"TXT": ['"v=spf1 ip4:127.0.0.1 -all"']},
        "mx.example.test": {"A": ["192.0.2.1"]},
    }
    s.cli("alias", "add", "dmarc@example.test", "alice@example.test")
    return s


def send(server, *mails, sender="dmarc@reporter.test", to=("dmarc@example.test",)):
    with server.smtp() as s:
        for m in mails:
            s.sendmail(sender, list(to), m)


def show(server, noun="dmarc", domain="example.test", **facts):
    """The JSON once it has so many of each."""
    def there():
        found = server.json(noun, "show", domain)
        return found if all(len(found[k]) == n for k, n in facts.items()) else None

    return wait_until(f"reports with {facts}", there)


def by_ip(found):
    return {s["ip"]: s for s in found["sources"]}


def test_forms(server):
    """gzip, zip and plain, under right and vague types; each delivered as mail, too."""
    send(server,
         mail(gzip.compress(feedback([record(OURS, 3)], id="gz")), "application/gzip", "a!example.test!1!2.xml.gz"),
         mail(zipped(feedback([record(OURS, 4)], id="zip")), "application/octet-stream", "b!example.test!1!2.zip"),
         mail(feedback([record(OURS, 5)], id="xml"), "text/xml", "c.xml"))
    found = show(server, reports=3, broken=0)
    assert {r["id"]: r["messages"] for r in found["reports"]} == {"gz": 3, "zip": 4, "xml": 5}
    assert found["messages"] == found["pass"] == 12
    assert all(r["proven"] and r["sender"] == "reporter.test" for r in found["reports"])
    assert by_ip(found)[OURS]["kind"] == "yours" and by_ip(found)[OURS]["state"] == "ok"
    assert len(server.wait_mails("alice@example.test", 3)) == 3


def test_once(server):
    """The same report by two mails, also in other wrapping, is kept once; people may write there."""
    report = feedback([record(OURS, 3)])
    send(server, mail(gzip.compress(report), "application/gzip", "a.xml.gz"), mail(report, "text/xml", "a.xml"),
         mail(feedback([record(OURS, 1)], id="r2"), "text/xml", "b.xml"))
    assert show(server, reports=2)["messages"] == 4


def test_words(server):
    """Each kind of source is named, with what to do; the same while the server is down."""
    send(server, mail(zipped(feedback([
        record(OURS, 70, dkim="fail"),
        record("192.0.2.1", 5, dkim="fail", spf="fail"),  # the host's address in DNS: ours as well
        record(SERVICE, 20, dkim="fail"),
        record(FORWARDER, 10, spf="fail", envelope="list.test", spf_auth="pass"),
        record(STRANGER, 6, dkim="fail", spf="fail", envelope="bad.test", spf_auth="pass"),
    ], days=20)), "application/zip", "r.zip"))
    found = show(server, reports=1)
    kinds = {ip: (s["kind"], s["state"]) for ip, s in by_ip(found).items()}
    assert kinds == {OURS: ("yours", "warning"), "192.0.2.1": ("yours", "error"), SERVICE: ("service", "warning"),
                     FORWARDER: ("forwarder", "ok"), STRANGER: ("stranger", "warning")}
    assert (found["messages"], found["pass"], found["stricter_is_safe"]) == (111, 100, False)
    assert "tegami dns check example.test" in by_ip(found)["192.0.2.1"]["advice"]
    assert "bad.test=pass" in by_ip(found)[STRANGER]["proves"]

    text = server.cli("dmarc", "show", "example.test")
    for words in ("yours, and misconfigured", "a service that your SPF record names", "forwards your mail",
                  "a stranger, all delivered", "To do:", "p=quarantine would hurt: 5 messages"):
        assert words in text, text
    server.stop()
    down = json.loads(server.cli("--json", "dmarc", "show", "example.test"))
    assert down["reports"] == found["reports"] and by_ip(down)[STRANGER] == by_ip(found)[STRANGER]


def test_safe(server):
    send(server, mail(zipped(feedback([record(OURS, 500), record(STRANGER, 9, "fail", "fail")], days=20)),
                      "application/zip", "r.zip"))
    found = show(server, reports=1)
    assert found["stricter_is_safe"] and found["policy"] == "none"
    assert "p=quarantine would be safe" in found["text"] and "9 messages of strangers" in found["text"]


def test_broken(server):
    """A bad report delays and refuses nothing; it is counted, with the reason."""
    whole = zipped(feedback([record(OURS, 1)]))
    bombs = gzip.compress(b"<feedback>" + b" " * (64 << 20))
    send(server,
         mail(whole[:len(whole) // 2], "application/zip", "cut!example.test!1!2.zip"),
         mail(b"<feedback><record></feedback>", "text/xml", "x!example.test!1!2.xml"),
         mail(bombs, "application/gzip", "bomb!example.test!1!2.xml.gz"),
         mail(b'<!DOCTYPE a [<!ENTITY b "c">]><feedback/>', "text/xml", "d!example.test!1!2.xml"),
         mail(b"hello", "application/gzip", "e!example.test!1!2.gz"))
    found = show(server, broken=5, reports=0)
    why = {b["file"].partition("!")[0]: b["why"] for b in found["broken"]}
    assert "cut off" in why["cut"]
    assert "XML is broken at line 1" in why["x"]
    assert "bomb" in why["bomb"]
    assert "DOCTYPE" in why["d"]
    assert "neither XML" in why["e"]
    text = server.cli("dmarc", "show", "example.test")
    assert "5 reports could not be read:" in text and "There are no reports on example.test" in text
    assert len(server.wait_mails("alice@example.test", 5)) == 5


def test_many_rows(server):
    """A report of many frames is kept whole; one with more rows than any is refused."""
    records = [record(f"198.51.{i // 250}.{i % 250}", 1) for i in range(3000)]
    send(server, mail(gzip.compress(feedback(records)), "application/gzip", "many.xml.gz"))
    found = show(server, reports=1)
    assert found["messages"] == 3000 and len(found["sources"]) == 3000
    assert "and 2975 more sources" in server.cli("dmarc", "show", "example.test")


def test_address(server):
    """Second among the recipients still counts; mail to others does not; unproven senders are told."""
    send(server, mail(feedback([record(OURS, 1)], id="second"), "text/xml", "a.xml"),
         to=("alice@example.test", "DMARC@example.test"))
    send(server, mail(feedback([record(OURS, 1)], id="not for us"), "text/xml", "a.xml"), to=("alice@example.test",))
    send(server, mail(feedback([record(OURS, 1)], id="forged"), "text/xml", "a.xml", sender="x@other.test"),
         sender="x@other.test")
    found = show(server, reports=2)
    assert {r["id"]: r["proven"] for r in found["reports"]} == {"second": True, "forged": False}
    assert "1 of the reports came in mail whose sender neither SPF nor DKIM proves" in server.cli(
        "dmarc", "show", "example.test")


def test_records_to_publish(server):
    zone = server.cli("dns", "show", "example.test")
    assert 'rua=mailto:dmarc@example.test"' in zone
    assert '_smtp._tls.example.test.' in zone and '"v=TLSRPTv1; rua=mailto:dmarc@example.test"' in zone
    server.add_domain("other.test", bob="secret")
    zone = server.cli("dns", "show", "other.test")
    assert 'rua=mailto:dmarc@example.test"' in zone
    assert "other.test._report._dmarc.example.test" in zone  # RFC 9990: or nobody sends there


def tls_report(failures, good=100, id="t1", domain="example.test"):
    begin = time.strftime("%Y-%m-%dT00:00:00Z", time.gmtime(time.time() - 2 * DAY))
    end = time.strftime("%Y-%m-%dT23:59:59Z", time.gmtime(time.time() - 2 * DAY))
    return json.dumps({
        "organization-name": "Reporter Inc.", "date-range": {"start-datetime": begin, "end-datetime": end},
        "contact-info": "tls@reporter.test", "report-id": id,
        "policies": [{"policy": {"policy-type": "sts", "policy-domain": domain, "mx-host": ["mx.example.test"]},
                      "summary": {"total-successful-session-count": good,
                                  "total-failure-session-count": sum(f["failed-session-count"] for f in failures)},
                      "failure-details": failures}]}).encode()


def test_tls(server):
    """A TLS report, with the types of RFC 8460; what failed is said in words."""
    failures = [{"result-type": "certificate-expired", "receiving-mx-hostname": "mx.example.test",
                 "sending-mta-ip": "192.0.2.9", "failed-session-count": 7, "failure-reason-code": "X509_EXPIRED"},
                {"result-type": "sts-policy-fetch-error", "failed-session-count": 2}]
    send(server, mail(gzip.compress(tls_report(failures)), "application/tlsrpt+gzip", "r!example.test!1!2.json.gz"),
         mail(tls_report([], id="t2"), "application/tlsrpt+json", "s!example.test!1!2.json"),
         mail(tls_report([], id="t2"), "application/tlsrpt+json", "s!example.test!1!2.json"),
         mail(b'{"report-id": ', "application/tlsrpt+json", "broken!example.test!1!2.json"))
    found = show(server, "tlsrpt", reports=2, broken=1)
    assert (found["succeeded"], found["failed"]) == (200, 9)
    assert [(f["result"], f["sessions"]) for f in found["failures"]] == [
        ("certificate-expired", 7), ("sts-policy-fetch-error", 2)]
    text = server.cli("tlsrpt", "show", "example.test")
    for words in ("200 sessions with TLS as it should be, 9 failed", "the certificate had run out (X509_EXPIRED)",
                  "renew it", "1 report could not be read", "JSON is broken at byte 14"):
        assert words in text, text
    assert show(server, "dmarc", reports=0, broken=0)["messages"] == 0
    server.stop()
    assert server.json("tlsrpt", "show", "example.test") == found


def test_nothing_yet(server):
    text = server.cli("tlsrpt", "show", "example.test")
    assert "There are no reports on example.test" in text and "dmarc@example.test" in text
    assert server.run("dmarc", "show", "example.test", "--since", "soon", check=False).returncode == 2


def test_check(make_server):
    """The address must be one that takes mail; an address that is none stops the start."""
    server = make_server({"reports.address": '{"dmarc@example.test", "nobody@example.test"}'})
    server.cli("alias", "add", "dmarc@example.test", "alice@example.test")
    rows = json.loads(server.run("--json", "check", check=False).stdout)
    assert [r["state"] for r in rows if r["name"] == "reports"] == ["ok", "error"]
    good = server.conf.read_text()
    server.conf.write_text(good.replace('{"dmarc@example.test"', '{"dmarc"'))
    said = server.run("config", "show", check=False)
    server.conf.write_text(good)
    assert said.returncode == 1 and "is no address" in said.stderr


def test_nothing_to_show(make_server):
    """No reports yet, and a domain that is not ours: said in words and in JSON alike, with what to do."""
    server = make_server({})
    for noun in ("dmarc", "tlsrpt"):
        said = server.cli(noun, "show", "example.test")
        told = server.json(noun, "show", "example.test")
        assert "no reports on example.test" in said and told["reports"] == [] and told["advice"] in said
        assert "reports@example.test" in told["advice"] and "tegami dns show example.test" in told["advice"]
        for words in ((noun, "show", "nowhere.test"), ("--json", noun, "show", "nowhere.test")):
            p = server.run(*words, check=False)
            assert p.returncode == 1 and "there is no domain nowhere.test" in p.stderr, p

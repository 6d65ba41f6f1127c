"""filter, scan and signer, each alone, with peers that a test plays."""
import base64
import email.utils
import io
import os
import re
import socket
import subprocess
import time
import zipfile

import authres
import dkim
import pytest

from queue_role import SETUP_FILE
from filter_role import (ACCEPT, CLEAN, DEFER, FAILED, HOST, INFECTED, JUNK, LISTEN_LOCAL, NXDOMAIN, REFUSE, SUBMISSION,
                         TEMPORARY, Filter, Role)

EICAR = rb"X5O!P%@AP[4\PZX54(P^)7CC)7}$" + b"EICAR-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*"
TEST_STRING = b"XJS*C4JDBQADN1.NSBN3*2IDNEN*" + b"GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X"

ZONE = {
    ("peer.test", "TXT"): ["v=spf1 a:mail.peer.test -all"],
    ("mail.peer.test", "A"): ["192.0.2.1"],
    ("1.2.0.192.in-addr.arpa", "PTR"): ["mail.peer.test"],
}


def mail(body=b"Hello Alice,\r\nall is well.\r\n", subject="a question", sender="Someone <someone@peer.test>", extra=b""):
    head = (f"Received: from there by here; {email.utils.formatdate()}\r\nFrom: {sender}\r\nTo: alice@example.test\r\n"
            f"Subject: {subject}\r\nDate: {email.utils.formatdate()}\r\nMessage-ID: <{time.time()}@peer.test>\r\n")
    return head.encode() + extra + b"\r\n" + body


def with_zip(data):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as z:
        z.writestr("a.com", data)
    return mail(extra=b"MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=x\r\n",
                body=b"--x\r\nContent-Type: text/plain\r\n\r\nsee\r\n--x\r\nContent-Type: application/zip\r\n"
                     b"Content-Transfer-Encoding: base64\r\n\r\n" +
                     base64.encodebytes(out.getvalue()).replace(b"\n", b"\r\n") + b"--x--\r\n")


@pytest.fixture
def filtering(tmp_path):
    running = []

    def make(zone=None, **words):
        running.append(Filter(tmp_path, ZONE if zone is None else zone, **words))
        assert running[-1].ready, running[-1].why
        return running[-1]

    yield make
    for f in running:
        f.stop()


HOSTILE = ["plain", 'a";dkim=pass header.d=bank.test;x="', "x; dmarc=pass header.from=bank.test", "(", ")", "\\", 'q\\"', "a b", "=", "\xe9t\xe9",
           "x" * 300, "\t;", "/", "[1.2.3.4]", "%{i}", '"', "''", ";", "a@b@c"]


def test_results_are_read_alike_whatever_stands_in_them(filtering, rsa):
    """Every property is there, and an independent parser reads the values that came, and no other result."""
    data = signed(rsa, mail(), identity=b'so(me"one@peer.test')
    f = filtering(with_key(rsa))
    for value in HOSTILE:
        clean = "".join(c if " " <= c < "\x7f" else "?" * len(c.encode()) for c in value)
        v = f.judge(data, sender=f"{value}@peer.test", helo=value)
        field = re.match(r"Authentication-Results: (.*?)\r\n(?![ \t])", v.prefix, re.S).group(0)
        assert max(map(len, field.split("\r\n"))) <= 998
        read = authres.AuthenticationResultsHeader.parse(re.sub(r"\r\n(?=[ \t])", "", field).strip())
        assert read.authserv_id == HOST and [r.method for r in read.results] == ["spf", "spf", "dkim", "dmarc", "arc"], field
        spf, name, dk, dm, arc = [{f"{p.type}.{p.name}": re.sub(r"\\(.)", r"\1", p.value) for p in r.properties} for r in read.results]
        if "smtp.mailfrom" not in spf:  # it passes over an address that is quoted as a whole
            whole = re.sub(r'(["\\\\])', r"\\\1", f"{clean}@peer.test")
            assert f' smtp.mailfrom="{whole}"' in re.sub(r"\r\n(?=[ \t])", "", field).replace("\t", " "), field
            spf["smtp.mailfrom"] = f"{clean}@peer.test"
        assert spf == {"smtp.mailfrom": f"{clean}@peer.test"[:320]} and name == {"smtp.helo": clean}, (field, spf, name)
        if "header.i" not in dk:
            assert 'header.i="so(me\\"one@peer.test"' in field
            dk["header.i"] = 'so(me"one@peer.test'
        assert dk == {"header.d": "peer.test", "header.s": "sel", "header.a": "rsa-sha256", "header.i": 'so(me"one@peer.test'}, dk
        assert dm == {"header.from": "peer.test"} and arc == {"smtp.remote-ip": "192.0.2.1"}, field


def test_good_mail(filtering):
    v = filtering().judge(mail())
    assert (v.verdict, v.reply, v.hits["spf"][0], v.hits["rdns"][0]) == (ACCEPT, "", "pass", "pass"), v
    assert v.results == HOST + "; spf=pass smtp.mailfrom=someone@peer.test; spf=none reason=\"the domain has no SPF record\" smtp.helo=mail.peer.test; dkim=none; dmarc=none header.from=peer.test; arc=none smtp.remote-ip=192.0.2.1"
    assert f"Authentication-Results: {HOST};\r\n\tspf=pass" in v.prefix
    assert "X-Spam-Status: No, score=-0.1 required=5 tests=SPF_PASS(-0.1)\r\n" in v.prefix
    assert "X-Spam-Flag" not in v.prefix


def test_spf_fail_and_more_is_junk(filtering):
    v = filtering().judge(mail(), ip="203.0.113.9", helo="localhost", sender="x@peer.test")
    assert v.hits["spf"][0] == "fail" and v.verdict == JUNK, v
    assert "SPF_FAIL(3)" in v.prefix and "X-Spam-Flag: YES\r\n" in v.prefix and "Yes, score=" in v.prefix


def test_refused_with_reasons(filtering):
    v = filtering().judge(mail(TEST_STRING + b"\r\n"))
    assert v.verdict == REFUSE and v.reply.startswith("550 5.7.1 Refused as spam") and "test string" in v.reply, v


@pytest.mark.parametrize("message,rule", [
    (b"From: a@peer.test\r\n\r\nx\r\n", "DATE_MISSING"),
    (b"From: a@peer.test\r\n\r\nx\r\n", "MSGID_MISSING"),
    (b"Subject: x\r\n\r\nx\r\n", "FROM_MISSING"),
    (mail(extra=b"From: b@other.test\r\n"), "FROM_SEVERAL"),
    (mail(sender="nobody"), "FROM_MALFORMED"),
    (mail(sender='"boss@bank.test" <x@peer.test>'), "FROM_NAME_ADDRESS"),
    (mail(subject="BUY NOW CHEAP GOODS"), "SUBJECT_SHOUTS"),
    (mail(subject="win!!! $$$"), "SUBJECT_EXCLAIMS"),
    (mail(b"see http://192.0.2.7/x\r\n"), "LINK_TO_ADDRESS"),
    (mail(b"<b>x</b>\r\n", extra=b"Content-Type: text/html\r\n"), "HTML_ONLY"),
    (mail(extra=b"no field at all\r\n"), "HEADER_BROKEN"),
    (mail(extra=b'Content-Type: application/x; name="a.exe"\r\n'), "ATTACHED_PROGRAM"),
])
def test_rules(filtering, message, rule):
    v = filtering().judge(message)
    assert rule in v.hits, v


def test_future_date(filtering):
    v = filtering().judge(mail(), now=int((time.time() - 3 * 86400) * 1e6))
    assert "DATE_FUTURE" in v.hits


def test_forged_results_are_cut(filtering):
    forged = (b"Authentication-Results: (x) MX.example.test; dkim=pass\r\n\t header.d=bank.test\r\n"
              b"X-Spam-Flag: NO\r\nAuthentication-Results: other.test; spf=pass\r\nX-Spam-Status: No\r\n")
    message = forged + mail()
    v = filtering().judge(message)
    assert uncut(message, v) == b"Authentication-Results: other.test; spf=pass\r\n" + message[len(forged):]


def uncut(message, v):
    left, at = b"", 0
    for start, length in v.cuts:
        left += message[at:start]
        at = start + length
    return left + message[at:]


SPELLINGS = [
    b"Authentication-Results: %s; dkim=pass", b"Authentication-Results:%s;dkim=pass", b"Authentication-Results:\t%s\t; dkim=pass",
    b"Authentication-Results : %s; dkim=pass", b"Authentication-Results\t:\r\n\t%s; dkim=pass", b"authentication-RESULTS: %s; dkim=pass",
    b"Authentication-Results: (a (b)) %s (c); dkim=pass", b'Authentication-Results: "%s"; dkim=pass', b'Authentication-Results: "%s" 1;dkim=pass',
    b"Authentication-Results:\r\n %s\r\n ;\r\n dkim=pass", b"Authentication-Results: %s.; dkim=pass", b"Authentication-Results: %s/1; dkim=pass",
    b"Authentication-Results: %s 1; dkim=pass", b"Authentication-Results: %s dkim=pass", b"Authentication-Results: %s",
    b"Authentication-Results\r\n : %s; dkim=pass", b"Authentication-Results: (%s; dkim=pass"]


def test_forged_results_are_cut_however_spelled(filtering):
    f = filtering()
    for name in (b"mx.example.test", b"MX.Example.TEST"):
        for spelling in SPELLINGS:
            forged = spelling % name + b"\r\n"
            for message in (forged + mail(), b"Received: x\r\n" + forged + mail()):
                assert uncut(message, f.judge(message)) == message.replace(forged, b""), forged
    for name in (b"mx.example.test.org", b"amx.example.test", b"other.test", b"mx-example.test"):
        for spelling in SPELLINGS[:-1]:
            message = spelling % name + b"\r\n" + mail()
            assert uncut(message, f.judge(message)) == message, spelling % name
    message = b" ; dkim=pass\r\n" + mail()
    assert uncut(message, f.judge(message)) == message[len(b" ; dkim=pass\r\n"):]


HELO_ZONE = {
    **ZONE,
    ("yes.test", "TXT"): ["v=spf1 ip4:192.0.2.1 -all"],
    ("no.test", "TXT"): ["v=spf1 -all exp=why.no.test"],
    ("why.no.test", "TXT"): ["not %{i}"],
    ("slow.test", "TXT"): TEMPORARY,
    ("wide.test", "TXT"): ["v=spf1 " + " ".join(f"mx:m{i}.wide.test" for i in range(9)) + " -all"],
    **{(f"m{i}.wide.test", "MX"): [f"10 h{i}{k}.wide.test" for k in range(9)] for i in range(9)},
    ("dmarc.test", "TXT"): ["v=spf1 -all"],
    ("_dmarc.dmarc.test", "TXT"): ["v=DMARC1; p=reject; sp=quarantine"],
}


@pytest.mark.parametrize("name, result", [("yes.test", "pass"), ("no.test", "fail"), ("slow.test", "temperror"), ("wide.test", "temperror"),
                                          ("[192.0.2.1]", "none"), ("x@yes.test", "none"), ("host", "none")])
def test_the_helo_name_has_a_result_of_its_own_that_changes_nothing(filtering, name, result):
    f = filtering(HELO_ZONE)
    v = f.judge(mail(), helo=name)
    assert v.verdict == ACCEPT and v.hits["spf"][0] == "pass" and v.hits["spf-helo"][:2] == (result, 0), v
    read = authres.AuthenticationResultsHeader.parse("Authentication-Results: " + v.results)
    assert [(r.method, r.result) for r in read.results[:2]] == [("spf", "pass"), ("spf", result)], v.results
    assert (read.results[0].smtp_mailfrom, read.results[0].smtp_helo) == ("someone@peer.test", None), v.results
    assert read.results[1].smtp_helo == name and "smtp.mailfrom" not in v.results.split("; ")[2], v.results
    # few questions for its zone, whatever it holds
    assert len([n for n, _ in f.zone.asked if n.endswith("wide.test")]) <= 14, f.zone.asked
    # a bounce is judged by that name, and has one result
    v = f.judge(mail(), helo=name, sender="")
    assert "spf-helo" not in v.hits and v.results.count("spf=") == 1, v


@pytest.mark.parametrize("allowed, where, policy, verdict", [
    (False, "dmarc.test", "reject", REFUSE), (False, "sub.dmarc.test", "quarantine", JUNK), (True, "dmarc.test", "reject", ACCEPT)])
def test_a_good_helo_name_proves_no_author(filtering, allowed, where, policy, verdict):
    """DMARC goes by the sender; the policy that counts is a property, also when there is a reason to pass over it."""
    f = filtering({**HELO_ZONE, ("dmarc.test", "TXT"): ["v=spf1 ip4:192.0.2.1 -all"]},
                  conf=[("dmarc.allow_networks", "192.0.2.0/24")] if allowed else [])
    v = f.judge(mail(sender=f"a@{where}"), helo="dmarc.test")
    assert v.hits["spf-helo"][0] == "pass" and v.hits["dmarc"][0] == "fail" and v.verdict == verdict, v
    dm, = [r for r in authres.AuthenticationResultsHeader.parse("Authentication-Results: " + v.results).results if r.method == "dmarc"]
    assert [(p.type, p.name, p.value) for p in dm.properties] == [("header", "from", where), ("policy", "dmarc", policy)], v.results


def test_nothing_forged_by_helo_and_sender(filtering):
    v = filtering().judge(mail(), helo='x" (evil; dkim=pass', sender='"a\\"; dkim=pass"@peer.test')
    line = [x for x in v.results.split("; ") if x.startswith("spf=")]
    assert line and "dkim=none" in v.results and '\n' not in v.results
    unquoted = "".join(x for i, x in enumerate(v.results.replace("\\\\", "").replace('\\"', "").split('"')) if i % 2 == 0)
    assert "dkim=pass" not in unquoted


def test_dnsbl(filtering):
    zone = {**ZONE, ("1.2.0.192.bl.test", "A"): ["127.0.0.4"]}
    v = filtering(zone, conf=[("spam.dnsbl.bl.test.weight", "9000"), ("spam.dnsbl.down.test.weight", "9000")]).judge(mail())
    assert "DNSBL_BL_TEST(9)" in v.prefix and v.verdict == JUNK, v


def test_dns_that_does_not_answer_is_no_reason_to_wait_for_ever(filtering):
    zone = {**ZONE, ("peer.test", "TXT"): TEMPORARY}
    v = filtering(zone).judge(mail())
    assert v.hits["spf"][0] == "temperror" and v.verdict == ACCEPT


def test_many_at_once(filtering):
    f = filtering(zone={**ZONE, ("slow.test", "TXT"): None})
    for i in range(70):
        f.send(mail(), sender="x@slow.test", id=100 + i)
    for i in range(6):
        v = f.answer()
        assert v.verdict == DEFER and v.reply.startswith("451 4.7.1")
    # the others wait; a quick one could pass but for the ceiling
    f.peer["RESOLVER"].s.shutdown(socket.SHUT_RDWR)
    for i in range(64):
        assert f.answer().hits["spf"][0] == "temperror"


def test_submitted_mail_is_only_scanned(filtering):
    f = filtering(conf=[("antivirus.enabled", "true")])
    f.send(b"Subject: x\r\n\r\nx\r\n", kind=SUBMISSION, user="alice@example.test")
    scan = f.peer["SCAN"].want("SCAN")
    f.peer["SCAN"].send("SCAN_IS", CLEAN, "", id=scan.id)
    v = f.answer()
    assert v.verdict == ACCEPT and list(v.hits) == ["antivirus"] and v.prefix == "" and f.zone.asked == []


@pytest.mark.parametrize("status,text,verdict,reply", [
    (INFECTED, "Eicar-Test", REFUSE, "550 5.7.1 The message holds the virus Eicar-Test"),
    (FAILED, "no room", DEFER, "451 4.7.1 The message could not be scanned: no room"),
    (CLEAN, "", ACCEPT, ""),
    (77, "nonsense", DEFER, "451 4.7.1 The message could not be scanned: nonsense"),
])
def test_scan_answers(filtering, status, text, verdict, reply):
    f = filtering(conf=[("antivirus.enabled", "true")])
    f.send(mail(b"x" * 100000 + b"\r\n"))
    scan = f.peer["SCAN"].want("SCAN")
    assert scan.fd != -1 and os.fstat(scan.fd).st_size > 100000
    os.close(scan.fd)
    f.peer["SCAN"].send("SCAN_IS", status, text, id=scan.id)
    v = f.answer()
    assert (v.verdict, v.reply) == (verdict, reply), v


def test_scanner_dies_or_is_not_there(filtering):
    f = filtering(conf=[("antivirus.enabled", "true")])
    f.send(mail())
    f.peer["SCAN"].want("SCAN")
    f.peer["SCAN"].close()
    v = f.answer()
    assert v.verdict == DEFER and v.reply.startswith("451 4.7.1")
    assert f.judge(mail()).verdict == DEFER


def key_text(private):
    return private.decode(), base64.b64encode(subprocess.run(
        ["openssl", "rsa", "-pubout", "-outform", "DER"], input=private, capture_output=True, check=True).stdout).decode()


@pytest.fixture(scope="module")
def rsa():
    return key_text(subprocess.run(["openssl", "genrsa", "-traditional", "2048"], capture_output=True, check=True).stdout)


def signed(rsa, data, selector=b"sel", **words):
    return dkim.sign(data, selector, b"peer.test", rsa[0].encode(), include_headers=[b"from", b"to", b"subject", b"date"],
                     **words) + data


def with_key(rsa, **more):
    return {**ZONE, ("sel._domainkey.peer.test", "TXT"): ["v=DKIM1; k=rsa; p=" + rsa[1]], **more}


def test_dkim(filtering, rsa):
    f = filtering(with_key(rsa))
    data = signed(rsa, mail(b"the true words\r\n"))
    v = f.judge(data)
    assert v.hits["dkim"][0] == "pass", v
    assert "dkim=pass header.d=peer.test header.s=sel header.a=rsa-sha256 header.i=@peer.test" in v.results
    v = f.judge(data.replace(b"the true", b"the false"))
    assert v.hits["dkim"][0] == "fail" and 'dkim=fail reason="the text was changed"' in v.results, v
    v = f.judge(data.replace(b"Subject: a", b"Subject: b"))
    assert v.hits["dkim"][0] == "fail", v
    v = f.judge(signed(rsa, data, selector=b"none"))
    assert v.results.count("dkim=pass") == 1 and v.results.count("dkim=permerror") == 1, v
    v = f.judge(signed(rsa, mail(), length=True) + b"and more\r\n")
    assert v.hits["dkim"][0] == "policy", v
    v = f.judge(signed(rsa, mail(), signature_algorithm=b"rsa-sha1"))
    assert v.hits["dkim"][0] != "pass", v


def test_dkim_many_signatures(filtering, rsa):
    f = filtering(with_key(rsa))
    data = mail()
    for i in range(30):
        data = signed(rsa, data)
    assert f.judge(data).results.count("dkim=pass") == 10


def test_dkim_dns_trouble(filtering, rsa):
    f = filtering({**ZONE, ("sel._domainkey.peer.test", "TXT"): TEMPORARY})
    v = f.judge(signed(rsa, mail()))
    assert v.hits["dkim"][0] == "temperror", v


def test_dkim_no_from(filtering, rsa):
    f = filtering(with_key(rsa))
    data = signed(rsa, mail()).replace(b"From:", b"Fram:")
    assert f.judge(data).hits["dkim"][0] in ("permerror", "fail")


def admin(role, verb, *words, data=None):
    fd = None
    if data is not None:
        fd = os.memfd_create("m")
        os.write(fd, data)
    role.peer["CONTROL"].send("ADMIN", verb, *words, id=9, fd=fd)
    rows = []
    while True:
        f = role.peer["CONTROL"].recv(10)
        if f.name == "ADMIN_ROW":
            rows.append(list(zip(f.f[::2], f.f[1::2])))
        elif f.name == "ADMIN_END":
            return f.f, rows


def test_filter_test(filtering):
    f = filtering()
    end, rows = admin(f, "filter.test", "ip", "192.0.2.1", "helo", "mail.peer.test", "from", "a@peer.test", data=mail())
    assert end == [0, ""]
    first = dict(rows[0])
    assert first["verdict"] == "accept" and first["required"] == "5000" and "spf=pass" in first["authentication_results"]
    assert {"check", "result", "score", "text"} == set(dict(rows[1]))
    end, rows = admin(f, "filter.test", "ip", "nonsense", data=mail())
    assert end[0] != 0 and "nonsense" in end[1]


def test_tokens(filtering):
    f = filtering()
    end, rows = admin(f, "filter.tokens", data=mail(b"cheap pills for you\r\n"))
    tokens = [v for row in rows for k, v in row]
    assert end == [0, ""] and len(tokens) == len(set(tokens)) > 5 and all(len(t) == 16 for t in tokens)


# -- scan

@pytest.fixture
def scanning(tmp_path):
    running = []

    def make(signatures=f"Eicar-Own:0:*:{EICAR.hex()}\n", conf=(), folder=True):
        database, tmp = tmp_path / "sigs", tmp_path / "tmp"
        database.mkdir(exist_ok=True)
        tmp.mkdir(exist_ok=True)
        if signatures:
            (database / "own.ndb").write_text(signatures)
        fd = os.open(database, os.O_PATH)
        running.append(Role("filters/scan", tmp, ["FILTER"], [("antivirus.enabled", "true"), ("antivirus.database", str(database)),
                                                              *conf], [("SIGNATURES", "", fd)]))
        os.close(fd)
        return running[-1]

    yield make
    for s in running:
        s.stop()


def scan(s, data, timeout=20):
    if len(data) > 32768:
        fd = os.memfd_create("m")
        os.write(fd, data)
        s.peer["FILTER"].send("SCAN", 1, b"", id=5, fd=fd)
        os.close(fd)
    else:
        s.peer["FILTER"].send("SCAN", 1, data, id=5)
    return s.peer["FILTER"].want("SCAN_IS", timeout).f


def reload(s, tmp_path):
    s.sup.send("SETUP_CONFIG", "antivirus.enabled", "true", "antivirus.database", str(tmp_path / "sigs"))
    s.sup.send("SETUP_GO", 1)


def test_scan(scanning, tmp_path):
    s = scanning()
    assert s.ready, (s.why, s.text())
    assert scan(s, with_zip(EICAR)) == [INFECTED, "Eicar-Own.UNOFFICIAL"]
    assert scan(s, with_zip(b"harmless")) == [CLEAN, ""]
    assert scan(s, with_zip(os.urandom(200000))) == [CLEAN, ""]
    assert scan(s, mail(EICAR)) == [INFECTED, "Eicar-Own.UNOFFICIAL"]
    assert scan(s, with_zip(EICAR)) == [INFECTED, "Eicar-Own.UNOFFICIAL"]
    assert os.listdir(tmp_path / "tmp" / "worker0") == [], "temporary files stay"


def test_scan_without_signatures(scanning, tmp_path):
    """Ready, so that the server comes up; but nothing is called clean, until there are signatures."""
    s = scanning(signatures=None)
    status, why = scan(s, mail())
    assert s.ready and status == FAILED and "signatures" in why
    (tmp_path / "sigs" / "own.ndb").write_text(f"Eicar-Own:0:*:{EICAR.hex()}\n")
    reload(s, tmp_path)
    end = time.time() + 20
    while scan(s, mail())[0] == FAILED and time.time() < end:
        time.sleep(0.2)
    assert scan(s, mail())[0] == CLEAN and scan(s, with_zip(EICAR))[0] == INFECTED


def test_scan_too_large_is_not_clean(scanning):
    s = scanning(conf=[("antivirus.max_scan_size", "1048576")])
    assert s.ready
    assert scan(s, mail(b"x" * 76 * 30000 + b"\r\n"))[0] == FAILED
    assert scan(s, with_zip(bytes(8_000_000)))[0] == FAILED


def zip_of(files):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as z:
        for name, data in files:
            z.writestr(name, data)
    return out.getvalue()


def attached(data):
    return mail(extra=b"MIME-Version: 1.0\r\nContent-Type: application/zip\r\nContent-Transfer-Encoding: base64\r\n",
                body=base64.encodebytes(data).replace(b"\n", b"\r\n"))


def nested(depth, data=EICAR):
    for i in range(depth):
        data = zip_of([(f"{i}.zip" if i else "a.com", data)])
    return attached(data)


def bomb():
    """10 GiB of zeros: a zip of 32 zips, each of 32 files of 10 MiB, which is one file packed once."""
    inner = zip_of([(f"{i}", bytes(10 << 20)) for i in range(32)])
    return attached(zip_of([(f"{i}.zip", inner) for i in range(32)]))


def test_scan_limits_of_depth_and_files(scanning):
    s = scanning(conf=[("antivirus.max_depth", "6"), ("antivirus.max_files", "50")])
    assert scan(s, nested(3)) == [INFECTED, "Eicar-Own.UNOFFICIAL"]
    status, why = scan(s, nested(10))
    assert status == FAILED and "too deep" in why
    assert scan(s, attached(zip_of([(str(i), b"harmless %d" % i) for i in range(30)])))[0] == CLEAN
    assert scan(s, attached(zip_of([(str(i), b"harmless %d" % i) for i in range(200)])))[0] == FAILED
    assert scan(s, with_zip(EICAR))[0] == INFECTED


def test_scan_bomb(scanning):
    """It ends within its limits, in bounded memory, as not scanned; the next message is served by the same worker."""
    s = scanning()
    assert scan(s, with_zip(b"harmless"))[0] == CLEAN

    def peak():
        return next(int(x.split()[1]) for x in open(f"/proc/{s.p.pid}/status") if x.startswith("VmHWM:"))

    before = peak()
    for data in (bomb(), nested(40, bytes(10 << 20))):
        status, why = scan(s, data, timeout=100)
        assert (status, why) == (FAILED, "it is too large, too deep or takes too long to be scanned")
    assert peak() - before < 300 * 1024, "KiB"
    assert s.p.poll() is None and scan(s, with_zip(EICAR)) == [INFECTED, "Eicar-Own.UNOFFICIAL"]


def test_scan_loads_new_signatures(scanning, tmp_path):
    s = scanning()
    assert scan(s, mail(b"a new evil thing\r\n")) == [CLEAN, ""]
    (tmp_path / "sigs" / "new.ndb").write_text("New-One:0:*:%s\n" % b"new evil thing".hex())
    reload(s, tmp_path)
    end = time.time() + 20
    while scan(s, mail(b"a new evil thing\r\n"))[0] == CLEAN and time.time() < end:
        time.sleep(0.2)
    assert scan(s, mail(b"a new evil thing\r\n")) == [INFECTED, "New-One.UNOFFICIAL"]
    assert scan(s, with_zip(EICAR))[0] == INFECTED


def test_scan_full_disk_is_not_clean(scanning, tmp_path):
    if os.geteuid() != 0:
        pytest.skip("needs root to mount a small file system")
    tmp = tmp_path / "tmp"
    tmp.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=40M", "none", str(tmp)]).returncode != 0:
        pytest.skip("cannot mount here")
    try:
        s = scanning()
        assert s.ready and scan(s, with_zip(EICAR))[0] == INFECTED
        with open(tmp / "big", "wb") as f:
            f.write(bytes(30 << 20))
        assert scan(s, with_zip(EICAR))[0] == FAILED
        os.unlink(tmp / "big")
        assert scan(s, with_zip(EICAR))[0] == INFECTED
        s.log.close()
        s.log = open(os.devnull, "rb+")
        s.p.kill()
        s.p.wait()
        s.p.returncode = 0
    finally:
        subprocess.run(["umount", "-l", str(tmp)], check=True)


# -- signer

@pytest.fixture
def signing(tmp_path, rsa):
    ed = subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519"], capture_output=True, check=True).stdout
    files = []
    for name, pem in (("example.test rsa1", rsa[0].encode()), ("example.test ed1", ed), ("broken.test x", b"nonsense")):
        fd = os.memfd_create("key")
        os.write(fd, pem)
        files.append(("DKIM_KEY", name, fd))
    s = Role("filters/signer", tmp_path, ["SMTPD", "AUTH", "DIRECTORY", "CONTROL"], [("hostname", HOST)], files)
    for _, _, fd in files:
        os.close(fd)
    assert s.ready, s.why
    yield s
    s.stop()


NOT_THEIRS, THEIRS, LATER = range(3)


def sign(s, data, prefix=b"", ticket=b"0123456789abcdef", good=1, author=b"alice@example.test", theirs=THEIRS,
         seven=0):
    """SIGN_IS; `good` is what auth says of the ticket (None: it is not asked), `theirs` what the directory says of the author."""
    s.peer["SMTPD"].send("SIGN", 1, ticket, prefix, data, seven, id=3)
    if good is not None:
        f = s.peer["AUTH"].want("TICKET_CHECK")
        assert f.f[0] == ticket
        s.peer["AUTH"].send("TICKET_IS", good, "alice@example.test" if good else "", id=f.id)
        if good:
            f = s.peer["DIRECTORY"].want("DIR_SENDER")
            assert f.f == ["alice@example.test", author.decode()], f.f
            s.peer["DIRECTORY"].send("DIR_SENDER_IS", theirs, "" if theirs == THEIRS else "alice is not bob", id=f.id)
    return s.peer["SMTPD"].want("SIGN_IS").f


def test_sign(signing):
    end, rows = admin(signing, "dkim.list")
    keys = {dict(r)["selector"]: dict(r) for r in rows}
    assert keys["rsa1"]["algorithm"] == "rsa" and keys["ed1"]["name"] == "ed1._domainkey.example.test"
    message = b'From: "Al, ice" <alice@Example.Test>\r\nTo: x@peer.test\r\nSubject: hi\r\n\r\nHello  there \r\n\r\n'
    prefix = b"Received: from x by y\r\nDate: Tue, 24 Nov 2026 05:52:28 +0000\r\nMessage-ID: <a@b>\r\n"
    status, fields, why = sign(signing, message, prefix)
    assert status == 1, why
    assert fields.count(b"DKIM-Signature: ") == 2 and fields.endswith(b"\r\n") and b"received" not in fields.lower()

    def txt(name, timeout=5):
        return keys[name.decode().split(".")[0]]["record"].encode()

    whole = fields + prefix + message
    for i in range(2):
        assert dkim.DKIM(whole).verify(idx=i, dnsfunc=txt)
    second = fields + b"From: evil@bank.test\r\n" + prefix + message
    try:
        assert not dkim.DKIM(second).verify(dnsfunc=txt)
    except dkim.DKIMException:
        pass
    assert b"message-id" in fields.lower() and b"date" in fields.lower()


def test_sign_for_seven_bits(signing):
    """A second set of fields for what the relay makes of it, when that is something else."""
    _, rows = admin(signing, "dkim.list")
    keys = {dict(r)["selector"]: dict(r) for r in rows}
    head = b"From: alice@example.test\r\nSubject: x\r\n"
    text = "Grüße aus der Stadt am Fluss \r\n".encode()
    status, fields, why = sign(signing, head + b"\r\n" + text, seven=1)
    assert status == 1 and fields.count(b"\0") == 1, why
    plain, seven = fields.split(b"\0")
    converted = (head + b"MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"
                 + b"Gr=C3=BC=C3=9Fe aus der Stadt am Fluss=20\r\n")
    for whole in (plain + head + b"\r\n" + text, seven + converted):
        for i in range(2):
            assert dkim.DKIM(whole).verify(idx=i, dnsfunc=lambda name, timeout=5: keys[name.decode().split(".")[0]]["record"].encode())
    for same in (text, b"plain\r\n"):
        assert b"\0" not in sign(signing, head + b"\r\n" + same, seven=same == b"plain\r\n")[1]
    # a large one, whose header is not in the first piece
    many = head + b"".join(b"X-%d: %s\r\n" % (i, b"y" * 70) for i in range(200)) + b"\r\n"
    assert b"\0" in sign(signing, many + text * 300, seven=1)[1]


def test_sign_refuses(signing):
    message = b"From: alice@example.test\r\n\r\nx\r\n"
    assert sign(signing, message, good=0)[0] == 2
    assert sign(signing, b"From: a@other.test\r\n\r\nx\r\n", good=None)[0] == 0
    assert sign(signing, b"From: a@example.test, b@example.test\r\n\r\nx\r\n", good=None)[0] == 0
    assert sign(signing, b"From: Bob <bob@EXAMPLE.test>\r\n\r\nx\r\n", author=b"bob@example.test",
                theirs=NOT_THEIRS) == [3, b"", "alice is not bob"]
    while "not signed for example.test: alice is not bob" not in signing.peer["CONTROL"].want("LOG").f[1]:
        pass
    assert sign(signing, message, theirs=LATER)[:2] == [2, b""]
    assert sign(signing, message)[0] == 1
    signing.peer["SMTPD"].send("SIGN", 1, b"0" * 16, b"", message, 0, id=3)
    signing.peer["AUTH"].want("TICKET_CHECK")
    signing.peer["AUTH"].close()
    assert signing.peer["SMTPD"].want("SIGN_IS").f[0] == 2


def test_sign_without_a_directory(signing):
    """It dies while it is asked, and then it is not there: later, both times."""
    message = b"From: alice@example.test\r\n\r\nx\r\n"
    for dies in (True, False):
        signing.peer["SMTPD"].send("SIGN", 1, b"0" * 16, b"", message, 0, id=3)
        f = signing.peer["AUTH"].want("TICKET_CHECK")
        signing.peer["AUTH"].send("TICKET_IS", 1, "alice@example.test", id=f.id)
        if dies:
            signing.peer["DIRECTORY"].want("DIR_SENDER")
            signing.peer["DIRECTORY"].close()
        f = signing.peer["SMTPD"].want("SIGN_IS")
        assert f.f[:2] == [2, b""] and "directory" in f.f[2]


def test_sign_with_a_key_that_came_by_reload(tmp_path, rsa):
    s = Role("filters/signer", tmp_path, ["SMTPD", "AUTH", "DIRECTORY", "CONTROL"], [("hostname", HOST)])
    message = b"From: alice@example.test\r\n\r\nx\r\n"
    assert sign(s, message, good=None)[0] == 0
    with open(tmp_path / "key", "wb+") as f:
        f.write(rsa[0].encode())
        f.flush()
        s.sup.send("SETUP_FILE", SETUP_FILE["SETUP_FILE_DKIM_KEY"], "example.test new", fd=f.fileno())
    s.sup.send("SETUP_CONFIG", "hostname", HOST)
    s.sup.send("SETUP_GO", 1)
    assert s.sup.recv(10).name == "ROLE_READY"
    assert sign(s, message)[0] == 1
    s.stop()

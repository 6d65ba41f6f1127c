"""What the signer signs: odd messages, each signature judged by two independent implementations."""
import json
import os
import pathlib
import random
import re
import smtplib
import subprocess
import tarfile

import dkim
import pytest

from server import TOP

NODE = pathlib.Path(os.environ.get("TEGAMI_CLIENTS", TOP / "build-check" / "clients")) / "node"
CORPUS = [TOP.parent / "shared/corpus" / name for name in ("mime-dev.tar.xz", "spam-dev.tar.xz")]  # used where it is
FEW = 120
OURS = [
    b"Subject: plain\r\n\r\nHello\r\n",
    b"Subject: no body\r\n\r\n",
    b"Subject: blank lines at the end\r\n\r\nHello  \t \r\n\r\n\r\n\r\n",
    b"subject:   spaces \t in\r\n\t the  header  \r\nX-Empty:\r\nCC: a@x.test,\r\n b@x.test\r\n\r\n one  two\tthree \r\n",
    b"Subject: =?utf-8?b?w6TDtsO8?=\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n\xc3\xa4\xc3\xb6\r\n",
    b"Subject: dots\r\n\r\n.\r\n..\r\n.x\r\n",
    b"Subject: long\r\n\r\n" + b"y" * 900 + b"\r\n" + b"0123456789\r\n" * 9000,
    b"To: a@x.test\r\nto: b@x.test\r\nTO: c@x.test\r\nReferences: " + b"\r\n ".join(b"<%d@x.test>" % i for i in range(200)) + b"\r\n\r\nx\r\n",
    b"MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=\"b\"\r\n\r\npre\r\n--b\r\n\r\nx\r\n--b--\r\nepilogue\r\n",
    b"DKIM-Signature: v=1; a=rsa-sha256; d=other.test; s=s; h=from; bh=AAAA; b=AAAA\r\nSubject: signed before\r\n\r\nx\r\n",
]


def corpus(most):
    """So many messages as a mail program would submit them; drawn by a fixed seed."""
    found = []
    for path in CORPUS:
        if path.exists():
            with tarfile.open(path) as tar:
                found += [tar.extractfile(m).read() for m in tar if m.name.endswith(".eml") and m.size < 200000]
    random.Random(6376).shuffle(found)
    return found[:most]


def submitted(raw, n):
    """CRLF throughout, from alice: other fields that name an author go."""
    raw = re.sub(rb"^From [^\r\n]*\r?\n", b"", raw)
    text = re.sub(rb"\r?\n", b"\r\n", raw.replace(b"\r\n", b"\n").replace(b"\r", b"\n"))
    head, gap, body = text.partition(b"\r\n\r\n")
    fields = [f for f in re.split(rb"\r\n(?![ \t])", head) if not re.match(rb"(?i)\s*(from|sender|resent-[a-z-]*|bcc|received|return-path|delivered-to|x-test)[ \t]*:", f)]
    return b"\r\n".join([b"From: Alice <alice@example.test>", b"X-Test: %d" % n] + fields) + (gap or b"\r\n\r\n") + body.rstrip(b"\x00")


def by_mailauth(folder, records):
    """{name: [result of each signature of ours]} by the npm library; None: it is not here."""
    if not (NODE / "node_modules/mailauth").exists():
        return None
    (folder / "records").write_text(json.dumps(records))
    script = """
const { dkimVerify } = require(process.argv[1] + '/node_modules/mailauth/lib/dkim/verify'), fs = require('fs');
const dir = process.argv[2], records = JSON.parse(fs.readFileSync(dir + '/records'));
const resolver = async (name, type) => { if (type === 'TXT' && records[name]) return [[records[name]]];
  const e = new Error('none'); e.code = 'ENOTFOUND'; throw e; };
(async () => { const out = {};
  for (const f of fs.readdirSync(dir).filter(f => f.endsWith('.eml'))) {
    const r = await dkimVerify(fs.readFileSync(dir + '/' + f), { resolver });
    out[f] = r.results.filter(x => x.signingDomain === 'example.test').map(x => x.status.result + ' ' + (x.status.comment || '')); }
  console.log(JSON.stringify(out)); })();
"""
    p = subprocess.run(["node", "-e", script, NODE, folder], capture_output=True, text=True, timeout=600)
    assert p.returncode == 0, p.stderr
    return json.loads(p.stdout)


def count_of_ours(raw):
    return len([1 for f in re.split(rb"\r\n(?![ \t])", raw.partition(b"\r\n\r\n")[0]) if f.startswith(b"DKIM-Signature:") and b"d=example.test" in f])


def signed(server, mails):
    """What bob has of them, by number; those that submission refuses are not there."""
    refused = {}
    with server.smtp("submissions", "alice@example.test", "alice-secret") as s:
        for n, mail in enumerate(mails):
            try:
                s.sendmail("alice@example.test", ["bob@example.test"], submitted(mail, n), ["BODY=8BITMIME"])
            except smtplib.SMTPResponseException as e:
                refused[n] = (e.smtp_code, e.smtp_error)
    got = server.wait_mails("bob@example.test", len(mails) - len(refused), seconds=120)
    numbers = {int(re.search(rb"^X-Test: (\d+)", m.raw, re.M)[1]): m.raw.replace(b"\n", b"\r\n") for m in got}
    assert set(numbers) == set(range(len(mails))) - set(refused)
    return numbers, refused


@pytest.mark.parametrize("most", [FEW, pytest.param(1000, marks=pytest.mark.long)])
def test_two_others_verify(make_server, tmp_path, most):
    server = make_server()
    server.cli("dkim", "create", "example.test")
    records = {f"{k['selector']}._domainkey.example.test": k["record"] for k in server.json("dkim", "list")}
    mails, refused = signed(server, OURS + corpus(most - len(OURS)))
    # what stands in the way is odd in a way that no signature could mend, and rare
    assert all(code == 550 for code, _ in refused.values()), refused
    assert len(refused) <= len(mails) // 10, refused
    wrong, unread = [], []
    for n, raw in mails.items():
        (tmp_path / f"{n}.eml").write_bytes(raw)
        ours = count_of_ours(raw)
        try:
            verifier = dkim.DKIM(raw)
        except dkim.MessageFormatError:  # a line in the header that is no field; the other reader takes it
            unread.append(n)
            continue
        if ours != 2:
            wrong.append((n, "signatures", ours))
        for i in range(ours):
            if not verifier.verify(idx=i, dnsfunc=lambda name, timeout=5: records.get(name.decode().rstrip("."), "").encode()):
                wrong.append((n, "dkimpy", i))
    assert not wrong, wrong
    assert len(unread) <= len(mails) // 50, unread
    told = by_mailauth(tmp_path, records)
    if told is not None:
        assert set(told) == {f"{n}.eml" for n in mails}
        assert not {f: r for f, r in told.items() if len(r) != 2 or not all(x.startswith("pass") for x in r)}
